"""Bytes to pixels and back, through OpenCV. Bounds on size are checked before, on the header."""

from __future__ import annotations

from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.errors import UnreadableImage
from pipeline.records import Outcome, Thumbnail

# One thread per task: the worker's slots are the parallelism, and OpenCV's own pool fights them.
cv2.setNumThreads(1)

Pixels: TypeAlias = npt.NDArray[np.uint8]  # BGR, (height, width, 3)

JPEG_START = b"\xff\xd8"
JPEG_END = b"\xff\xd9"


def decode_pixels(data: bytes) -> Pixels:
    """Decode an image file, its EXIF orientation applied. Raises UnreadableImage."""
    pixels = _decode(data)
    if pixels is None and data.startswith(JPEG_START):
        # OpenCV gives nothing for a JPEG without its end; given one, it greys what is missing.
        pixels = _decode(data + JPEG_END)
    if pixels is None:
        raise UnreadableImage(Outcome.NOT_AN_IMAGE, f"{len(data)} bytes that OpenCV cannot decode")
    return pixels


def encode_jpeg(pixels: Pixels, quality: int = 92) -> bytes:
    """Encode as a baseline JPEG that carries no metadata. Raises UnreadableImage."""
    encodable, encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not encodable:  # a side beyond 65500 pixels
        raise UnreadableImage(Outcome.TOO_MANY_PIXELS, f"a JPEG cannot be {pixels.shape[:2]}")
    return encoded.tobytes()


def shrink_grey(pixels: Pixels, size: Thumbnail) -> npt.NDArray[np.uint8]:
    """`pixels` in grey at a thumbnail's size, area-averaged: uint8, (height, width)."""
    grey = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
    small = cv2.resize(grey, (size.width, size.height), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)


def reduce_to(pixels: Pixels, longest_side: int) -> tuple[Pixels, float]:
    """`pixels` reduced to `longest_side` at most, and the factor that scales boxes back."""
    height, width = pixels.shape[:2]
    factor = max(1.0, max(height, width) / longest_side)
    if factor == 1.0:
        return pixels, factor
    size = (max(1, round(width / factor)), max(1, round(height / factor)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8), factor


def _decode(data: bytes) -> Pixels | None:
    try:
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:  # no bytes at all, or a size beyond OpenCV's own limits
        return None
    return None if decoded is None else np.asarray(decoded, np.uint8)
