"""A backup of the object store, and what a restore needs besides."""
