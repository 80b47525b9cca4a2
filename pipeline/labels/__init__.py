"""Labels as Label Studio writes them: what both labeling and its ML backend in detection need."""
