"""The formats people train from: writers, which stream, and readers, which trust nothing."""
