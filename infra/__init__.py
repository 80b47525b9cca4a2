"""Infrastructure: a folder for each piece."""
