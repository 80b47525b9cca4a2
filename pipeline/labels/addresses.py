"""Where the image of a labeling task is: in a Label Studio, behind it, or anywhere."""

from __future__ import annotations

import base64
from urllib.parse import SplitResult, quote, urlsplit

CLOUD_SCHEMES = ("s3", "gs", "azure-blob")
_PORTS = {"http": 80, "https": 443}


def locate(address: str, task: int, studio_url: str) -> str:
    """The absolute address to download it from; `address` is as in the task's data."""
    scheme = address.partition(":")[0].lower()
    if scheme in CLOUD_SCHEMES:
        uri = base64.urlsafe_b64encode(address.encode()).decode()
        return f"{studio_url}/tasks/{task}/resolve/?fileuri={quote(uri, safe='')}"
    if scheme in ("http", "https"):
        return address
    base = urlsplit(studio_url)
    # Under a path, Label Studio may or may not have put that path before its own.
    bare = address.removeprefix(base.path) if base.path else address
    return f"{studio_url}/{bare.lstrip('/')}"


def is_on(address: str, server_url: str) -> bool:
    """Whether `address` is on this very server, and brings no name and password of its own."""
    try:
        parts = urlsplit(address)
        return "@" not in parts.netloc and _origin(parts) == _origin(urlsplit(server_url))
    except ValueError:
        return False


def server_of(url: str) -> tuple[str, int]:
    """Host and port of a valid address."""
    return _origin(urlsplit(url))[1:]


def _origin(parts: SplitResult) -> tuple[str, str, int]:
    return parts.scheme, parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)
