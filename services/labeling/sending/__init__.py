"""Images out: which, when, with which predictions."""
