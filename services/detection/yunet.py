"""Faces by YuNet (opencv_zoo, MIT) at full resolution, through cv2.FaceDetectorYN."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from typing import TypeAlias

import cv2
import numpy as np

from pipeline.errors import CorruptModel
from pipeline.records import BoundingBox, Detection, ModelIdentity
from services.detection.detector import DecodedImage, clip_box
from services.detection.models import YUNET, FoundModel
from services.detection.pixels import Pixels, reduce_to

# Faces of 10 pixels need every pixel; a large soft one is found only when the image is small: on
# 316 photographs a search at 640 besides that at 1920 found four more that a person would know.
LONGEST_SIDES = (1920, 640)
SMALLEST_SIDE = 64  # an image that OpenCV pads to 32 rows gives boxes of infinite size
SCORE_THRESHOLD = 0.5  # two in three of the boxes between 0.5 and 0.6 are faces, and get blurred
OVERLAP_THRESHOLD = 0.3
MAX_CANDIDATES = 5000

Row: TypeAlias = tuple[float, ...]


class YuNet:
    """Finds faces of about 10 pixels and more, in two searches: of the image at most 1920 pixels
    on its longest side, and of one reduced to 640."""

    name = "yunet"
    labels = ("face",)
    finds_faces = True

    def __init__(self, model: FoundModel, score_threshold: float = SCORE_THRESHOLD) -> None:
        """Load `model`. Raises CorruptModel if OpenCV cannot run it as YuNet."""
        self.identity = ModelIdentity(name=self.name, sha256=model.sha256, licence=YUNET.licence)
        self._weights = np.frombuffer(model.data, np.uint8)
        self._score_threshold = score_threshold
        self._local = threading.local()
        try:
            self._search(np.zeros((SMALLEST_SIDE, SMALLEST_SIDE, 3), np.uint8))
        except cv2.error as error:
            raise CorruptModel(f"{model.path} does not run as YuNet: delete it") from error

    def detect(self, images: Sequence[DecodedImage]) -> list[tuple[Detection, ...]]:
        return [self._find_faces(image.pixels) for image in images]

    def _find_faces(self, pixels: Pixels) -> tuple[Detection, ...]:
        rows = [row for side in LONGEST_SIDES for row in self._search_at(pixels, side)]
        return tuple(
            Detection(label="face", score=score, box=box, detector=self.name)
            for score, box in _without_repeats(rows, pixels)
        )

    def _search_at(self, pixels: Pixels, longest_side: int) -> list[Row]:
        """Rows of score, x, y, width, height in the whole image's pixels."""
        reduced, factor = reduce_to(pixels, longest_side)
        if factor == 1.0 and longest_side < LONGEST_SIDES[0]:
            return []  # the image is as small as that: searched already
        return [
            (min(max(row[-1], 0.0), 1.0), *(side * factor for side in row[:4]))
            for row in self._search(_pad(reduced))
            if all(math.isfinite(side) for side in row[:4])
        ]

    def _search(self, pixels: Pixels) -> list[list[float]]:
        """Rows of x, y, width, height, five landmarks (x, y), score."""
        # One instance per thread: its input size is set before each search.
        if not hasattr(self._local, "network"):
            self._local.network = self._load()
        network: cv2.FaceDetectorYN = self._local.network
        height, width = pixels.shape[:2]
        network.setInputSize((width, height))
        _, rows = network.detect(pixels)
        found: list[list[float]] = [] if rows is None else np.asarray(rows).tolist()
        return found

    def _load(self) -> cv2.FaceDetectorYN:
        return cv2.FaceDetectorYN.create(
            "onnx",
            self._weights,
            np.empty(0, np.uint8),
            (SMALLEST_SIDE, SMALLEST_SIDE),
            self._score_threshold,
            OVERLAP_THRESHOLD,
            MAX_CANDIDATES,
        )


def _without_repeats(rows: list[Row], pixels: Pixels) -> Iterator[tuple[float, BoundingBox]]:
    """A face that both searches found is one face."""
    height, width = pixels.shape[:2]
    boxes = [row[1:] for row in rows]
    for n in cv2.dnn.NMSBoxes(boxes, [row[0] for row in rows], 0.0, OVERLAP_THRESHOLD):
        score, x, y, face_width, face_height = rows[n]
        if box := clip_box((x, y, x + face_width, y + face_height), width, height):
            yield score, box


def _pad(pixels: Pixels) -> Pixels:
    height, width = pixels.shape[:2]
    bottom, right = max(0, SMALLEST_SIDE - height), max(0, SMALLEST_SIDE - width)
    if not bottom and not right:
        return pixels
    padded = cv2.copyMakeBorder(pixels, 0, bottom, 0, right, cv2.BORDER_CONSTANT)
    return np.asarray(padded, np.uint8)
