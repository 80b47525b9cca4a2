"""Annotations as files: export, import, the choice between several."""
