"""Addresses as they may be shown and kept: without what only the camera's owner may know."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlencode, urlsplit

HIDDEN = "***"
_SECRET = re.compile(r"pass|pwd|secret|token|key|auth|sig|credential|user|login", re.IGNORECASE)


def hide_secrets(url: str) -> str:
    """`url` with its credentials, and query values whose names suggest secrets, replaced."""
    try:
        parts = urlsplit(url)
        query = parse_qsl(parts.query, keep_blank_values=True)
    except ValueError:
        return HIDDEN
    host = parts.netloc.rpartition("@")[2]
    netloc = f"{HIDDEN}@{host}" if "@" in parts.netloc else host
    if any(_SECRET.search(name) for name, _ in query):
        shown = [(name, HIDDEN if _SECRET.search(name) else value) for name, value in query]
        parts = parts._replace(query=urlencode(shown, safe="*"))
    return parts._replace(netloc=netloc).geturl()
