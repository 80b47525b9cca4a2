"""Faces by the Viola-Jones cascade that OpenCV ships: needs no model file, misses many faces."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from pathlib import Path

import cv2
import cv2.data
import numpy as np

from pipeline.records import Detection, ModelIdentity
from services.detection.detector import DecodedImage, clip_box
from services.detection.pixels import Pixels, reduce_to

CASCADE = Path(cv2.data.haarcascades) / "haarcascade_frontalface_default.xml"
LICENCE = "Intel License Agreement For Open Source Computer Vision Library"
LONGEST_SIDE = 1280  # it costs 0.2 s at 640x480
SCALE_STEP = 1.1
MIN_NEIGHBOURS = 5
MIN_SIDE = 24


class HaarCascade:
    """Finds frontal faces. One box in six is false, so a policy never rests on it."""

    name = "haar"
    labels = ("face",)
    finds_faces = False

    def __init__(self) -> None:
        sha256 = hashlib.sha256(CASCADE.read_bytes()).hexdigest()
        self.identity = ModelIdentity(name=self.name, sha256=sha256, licence=LICENCE)
        self._local = threading.local()

    def detect(self, images: Sequence[DecodedImage]) -> list[tuple[Detection, ...]]:
        return [self._find_faces(image.pixels) for image in images]

    def _find_faces(self, pixels: Pixels) -> tuple[Detection, ...]:
        height, width = pixels.shape[:2]
        reduced, factor = reduce_to(pixels, LONGEST_SIDE)
        faces = []
        for (x, y, face_width, face_height), neighbours in self._search(reduced):
            corners = [side * factor for side in (x, y, x + face_width, y + face_height)]
            if box := clip_box(corners, width, height):
                # No probability: the cascade only says how many windows agreed.
                score = neighbours / (neighbours + MIN_NEIGHBOURS)
                faces.append(Detection(label="face", score=score, box=box, detector=self.name))
        return tuple(faces)

    def _search(self, pixels: Pixels) -> list[tuple[list[float], int]]:
        """Boxes (x, y, width, height), each with the number of windows merged into it."""
        if not hasattr(self._local, "cascade"):
            self._local.cascade = cv2.CascadeClassifier(str(CASCADE))
        grey = cv2.equalizeHist(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY))
        boxes, neighbours = self._local.cascade.detectMultiScale2(
            grey, scaleFactor=SCALE_STEP, minNeighbors=MIN_NEIGHBOURS, minSize=(MIN_SIDE, MIN_SIDE)
        )
        return list(zip(np.asarray(boxes).tolist(), np.asarray(neighbours).tolist(), strict=True))
