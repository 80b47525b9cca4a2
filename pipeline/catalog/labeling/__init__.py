"""What labeling knows of tasks in Label Studio: rows, claims, quotas, projects."""
