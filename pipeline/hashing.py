"""The two hashes of an image: of its bytes, and of what it looks like."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image


def sha256_of(data: bytes) -> str:
    """64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def perceptual_hash(grey: Image.Image) -> str:
    """imagehash's phash, 64 bits as 16 hex digits; of a reduced picture, within 2 bits at p99."""
    import imagehash  # and scipy with it: who only compares hashes has neither

    return str(imagehash.phash(grey))


def distance(a: str, b: str) -> int:
    """How many of 64 bits differ (Hamming) between two perceptual hashes."""
    return (int(a, 16) ^ int(b, 16)).bit_count()
