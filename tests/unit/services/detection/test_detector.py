"""Boxes are clipped to the image, or dropped."""

from __future__ import annotations

import math

import pytest

from pipeline.records import BoundingBox
from services.detection.detector import clip_box


def test_clip_box_inside_is_unchanged() -> None:
    assert clip_box((1, 2.5, 30, 40), 100, 50) == BoundingBox(x1=1, y1=2.5, x2=30, y2=40)


def test_clip_box_across_the_edge_is_cut() -> None:
    assert clip_box((-5, -1, 120, 60), 100, 50) == BoundingBox(x1=0, y1=0, x2=100, y2=50)


@pytest.mark.parametrize(
    "corners",
    [
        (-20, 0, -1, 10),
        (100, 0, 110, 10),
        (5, 5, 5, 10),
        (10, 5, 5, 10),
        (math.inf, 0, 5, 5),
        (0, math.nan, 5, 5),
    ],
)
def test_clip_box_without_area_is_none(corners: tuple[float, ...]) -> None:
    assert clip_box(corners, 100, 50) is None
