"""Annotations in: read, interpreted, recorded, compared, erased."""
