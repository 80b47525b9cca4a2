"""Haar's cascade needs no file, and is never trusted with a policy."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from services.detection.detector import DecodedImage
from services.detection.haar import HaarCascade
from services.detection.pixels import decode_pixels

IMAGES = os.environ.get("TRABOULE_IMAGES_DIR")


def test_haar_does_not_satisfy_the_policy() -> None:
    assert not HaarCascade.finds_faces


def test_haar_names_the_cascade_by_its_hash() -> None:
    identity = HaarCascade().identity
    assert identity.sha256 is not None
    assert len(identity.sha256) == 64
    assert "Intel" in identity.licence


@pytest.mark.parametrize(("width", "height"), [(1, 1), (23, 23), (640, 3), (301, 203), (4000, 20)])
def test_haar_finds_nothing_in_grey_of_any_size(width: int, height: int) -> None:
    grey = np.full((height, width, 3), 100, np.uint8)
    assert HaarCascade().detect([DecodedImage(grey)]) == [()]


def test_haar_runs_in_several_threads() -> None:
    image = DecodedImage(np.random.default_rng(3).integers(0, 255, (90, 120, 3), np.uint8))
    detector = HaarCascade()
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: detector.detect([image]), range(8)))
    assert answers == [detector.detect([image])] * 8


@pytest.mark.skipif(not IMAGES, reason="set TRABOULE_IMAGES_DIR to a folder with faces_groups/")
def test_haar_finds_faces() -> None:
    path = sorted(Path(IMAGES or "", "faces_groups").glob("*.jpg"))[1]
    pixels = decode_pixels(path.read_bytes())
    [faces] = HaarCascade().detect([DecodedImage(pixels)])
    assert len(faces) >= 3
    assert all(0.5 <= face.score < 1 and face.label == "face" for face in faces)
