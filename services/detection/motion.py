"""`moving-object`: what differs between two small grey thumbnails. It knows no classes.

A pure function of the two thumbnails in the provenance, so an image looked at twice, or out of
order, gives the same boxes. An object that moved may show twice: where it was and where it is.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.records import Detection, ModelIdentity, Thumbnail
from services.detection.detector import DecodedImage, clip_box

MIN_DIFFERENCE = 14.0  # grey levels, of 255
NOISE_FACTOR = 5.0  # standard deviations of the noise
SIGMA_PER_MAD = 1.4826
MIN_AREA = 6  # thumbnail pixels

Difference = npt.NDArray[np.float32]


class MovingObject:
    """Finds regions that changed since the camera's previous kept frame."""

    name = "moving-object"
    labels = ("moving-object",)
    finds_faces = False

    def __init__(self) -> None:
        self.identity = ModelIdentity(name=self.name, sha256=None, licence="Apache-2.0")

    def detect(self, images: Sequence[DecodedImage]) -> list[tuple[Detection, ...]]:
        return [self._find_changes(image) for image in images]

    def _find_changes(self, image: DecodedImage) -> tuple[Detection, ...]:
        now, before = image.thumbnail, image.previous_thumbnail
        if (
            now is None
            or before is None
            or (now.width, now.height) != (before.width, before.height)
        ):
            return ()
        height, width = image.pixels.shape[:2]
        scale = np.array([width / now.width, height / now.height] * 2)
        found = []
        for corners, score in find_regions(measure_difference(now, before)):
            if box := clip_box((corners * scale).tolist(), width, height):
                found.append(Detection(label=self.name, score=score, box=box, detector=self.name))
        return tuple(found)


def measure_difference(now: Thumbnail, before: Thumbnail) -> Difference:
    """How far each pixel changed, in grey levels, beyond the change of the whole picture."""
    difference = cv2.GaussianBlur(_read_grey(now) - _read_grey(before), (3, 3), 0)
    return np.asarray(np.abs(difference - np.median(difference)), np.float32)


def find_regions(difference: Difference) -> list[tuple[npt.NDArray[np.float64], float]]:
    """Connected regions that stand above the noise: corners (x1, y1, x2, y2) and a score.

    The score is 0 for a region whose mean difference is the threshold, and nears 1 far above it.
    """
    sigma = SIGMA_PER_MAD * float(np.median(difference))
    threshold = max(MIN_DIFFERENCE, NOISE_FACTOR * sigma)
    mask = (difference > threshold).astype(np.uint8)
    count, labelled, rows, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    regions = []
    for index in range(1, count):  # 0 is the background
        x, y, width, height, area = rows[index].tolist()
        if area >= MIN_AREA:
            contrast = float(difference[labelled == index].mean())
            corners = np.array([x, y, x + width, y + height], np.float64)
            regions.append((corners, 1 - threshold / contrast))
    return regions


def _read_grey(thumbnail: Thumbnail) -> Difference:
    grey = np.frombuffer(thumbnail.pixels, np.uint8).reshape(thumbnail.height, thumbnail.width)
    return grey.astype(np.float32)
