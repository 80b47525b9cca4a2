"""Faces made unrecognisable, and the proof that a detector finds none in the encoded bytes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.errors import NotAnonymised
from pipeline.records import BoundingBox
from services.detection.pixels import Pixels, decode_pixels, encode_jpeg

# What these leave is measured by benchmarks/anonymisation.py. Rectangles, because a blurred ellipse
# is skin shaped as a face: tried once, YuNet found 23 of 1174 faces again, against 3.
PADDING = 0.3  # of the box, on each side
CELLS_BY_ROUND = (5, 3, 1)  # across a face; fewer where one is still found
MIN_CELL = 8.0  # pixels: five cells across a tiny face would be the face itself
BLUR_CELLS = 1.5  # standard deviation


@dataclass(frozen=True)
class Anonymised:
    """A picture whose encoded bytes hold no face that the detector finds.

    `pixels` is `jpeg` decoded; `faces` are the boxes blurred in all `rounds`, without padding.
    """

    jpeg: bytes
    pixels: Pixels
    faces: tuple[BoundingBox, ...]
    rounds: int

    @property
    def blurred(self) -> int:
        return len(self.faces)


def anonymise(
    pixels: Pixels,
    faces: Sequence[BoundingBox],
    find_faces: Callable[[Pixels], Sequence[BoundingBox]],
) -> Anonymised:
    """Blur `faces` and whatever `find_faces` still finds in the encoded bytes.

    Raises NotAnonymised if it still finds some after three rounds.
    """
    blurred: tuple[BoundingBox, ...] = ()
    rounds = 0
    for cells in CELLS_BY_ROUND:
        if faces:
            pixels = blur_regions(pixels, faces, cells)
            blurred += tuple(faces)
            rounds += 1
        jpeg = encode_jpeg(pixels)
        stored = decode_pixels(jpeg)
        faces = find_faces(stored)
        if not faces:
            return Anonymised(jpeg, stored, blurred, rounds)
    raise NotAnonymised(f"{len(faces)} faces are still found after {rounds} rounds of blurring")


def blur_regions(
    pixels: Pixels,
    boxes: Sequence[BoundingBox],
    cells: int = CELLS_BY_ROUND[0],
    padding: float = PADDING,
) -> Pixels:
    """A copy where each box, widened by `padding`, keeps about `cells` averages across a face."""
    copy = pixels.copy()
    for box in boxes:
        region = _widen(box, padding, pixels.shape[:2])
        cell = max(MIN_CELL, max(box.x2 - box.x1, box.y2 - box.y1) / cells)
        copy[region] = _pixelate(copy[region], cell)
    return copy


def _widen(box: BoundingBox, padding: float, size: tuple[int, ...]) -> tuple[slice, slice]:
    """Rows and columns of `box` with `padding` of its sides around it, within the picture."""
    height, width = size
    across, down = (box.x2 - box.x1) * padding, (box.y2 - box.y1) * padding
    x1, y1 = max(0, math.floor(box.x1 - across)), max(0, math.floor(box.y1 - down))
    x2, y2 = min(width, math.ceil(box.x2 + across)), min(height, math.ceil(box.y2 + down))
    return slice(y1, y2), slice(x1, x2)


def _pixelate(region: Pixels, cell: float) -> Pixels:
    """Averages over cells of `cell` pixels, blurred into their neighbours."""
    height, width = region.shape[:2]
    grid = (max(1, round(width / cell)), max(1, round(height / cell)))
    averages = cv2.resize(region, grid, interpolation=cv2.INTER_AREA)
    blurred = cv2.GaussianBlur(averages, (0, 0), BLUR_CELLS)
    return np.asarray(
        cv2.resize(blurred, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8
    )
