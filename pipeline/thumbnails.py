"""Thumbnails: small grey pictures by which frames are compared."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from pipeline.records import Thumbnail

THUMBNAIL_SIDE = 96


def thumbnail(grey: Image.Image) -> Thumbnail:
    """Area-averaged to a longest side of 96 pixels, its aspect kept."""
    scale = min(1.0, THUMBNAIL_SIDE / max(grey.size))
    width, height = (max(1, round(side * scale)) for side in grey.size)
    small = grey.resize((width, height), Image.Resampling.BOX)
    return Thumbnail(width=width, height=height, pixels=small.tobytes())


def thumbnail_array(thumbnail: Thumbnail) -> npt.NDArray[np.uint8]:
    """Its pixels, height x width."""
    pixels = np.frombuffer(thumbnail.pixels, np.uint8)
    return pixels.reshape(thumbnail.height, thumbnail.width)
