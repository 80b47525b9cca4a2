"""What is done once, before the services start: secrets, users and rights, buckets, the schema."""
