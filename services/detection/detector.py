"""The contract of a detector: decoded images in, labelled boxes in their pixels out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pipeline.records import BoundingBox, Detection, ModelIdentity, Thumbnail
from services.detection.pixels import Pixels


@dataclass(frozen=True)
class DecodedImage:
    """One image to look at, and the two thumbnails its provenance keeps.

    `pixels` is BGR, uint8, (height, width, 3), its orientation applied.
    """

    pixels: Pixels
    thumbnail: Thumbnail | None = None
    previous_thumbnail: Thumbnail | None = None


class Detector(Protocol):
    """What finds things in images. `detect` may be called by several threads at once."""

    @property
    def name(self) -> str:
        """As written in a camera's settings."""

    @property
    def identity(self) -> ModelIdentity:
        """Which model speaks."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Every label it can give."""

    @property
    def finds_faces(self) -> bool:
        """Whether it finds faces well enough for the `anonymise` policy to rest on it."""

    def detect(self, images: Sequence[DecodedImage]) -> list[tuple[Detection, ...]]:
        """What is in each image, in the same order; boxes in its pixels, clipped to it."""


def clip_box(corners: Sequence[float], width: int, height: int) -> BoundingBox | None:
    """(x1, y1, x2, y2) clipped to an image of `width` x `height`; None if nothing is left."""
    if not all(math.isfinite(corner) for corner in corners):
        return None
    x1, x2 = (min(max(float(x), 0.0), float(width)) for x in (corners[0], corners[2]))
    y1, y2 = (min(max(float(y), 0.0), float(height)) for y in (corners[1], corners[3]))
    if x2 <= x1 or y2 <= y1:
        return None
    return BoundingBox(x1=x1, y1=y1, x2=x2, y2=y2)
