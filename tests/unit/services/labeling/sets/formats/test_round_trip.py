"""Whatever is drawn comes back within half a pixel from every format that can say it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.annotations import CLASSES, Point, Shape, ShapeKind
from services.labeling.sets.formats.vocabulary import LabelFormat
from tests.label_sets import pass_through
from tests.labels import box, drawn

WITHIN_PX = 0.5
Drawing = tuple[tuple[int, int], list[Shape]]


@st.composite
def boxes(draw: st.DrawFn) -> Drawing:
    """An image's size, and boxes in it of two pixels or more."""
    size = (draw(st.integers(16, 8000)), draw(st.integers(16, 8000)))
    shapes = []
    for _ in range(draw(st.integers(1, 5))):
        spans = []
        for side in size:
            start = draw(st.floats(0, side - 2))
            spans.append((start, draw(st.floats(start + 2, side))))
        (x1, x2), (y1, y2) = spans
        shapes.append(box(draw(st.sampled_from(CLASSES)), x1, y1, x2, y2))
    return size, shapes


@st.composite
def turned_boxes(draw: st.DrawFn) -> Drawing:
    """A box that was turned, whole in its image."""
    size = (draw(st.integers(200, 4000)), draw(st.integers(200, 4000)))
    reach = min(size) / 2 - 1
    angle = draw(st.floats(1, 89)) + 90 * draw(st.integers(0, 3))
    width, height = (draw(st.floats(8, reach)) for _ in range(2))
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    corners = [
        (
            size[0] / 2 + (x * width * cos - y * height * sin) / 2,
            size[1] / 2 + (x * width * sin + y * height * cos) / 2,
        )
        for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1))
    ]
    return size, [drawn("car", ShapeKind.ROTATED_BOX, *corners)]


def is_near(one: Sequence[Point], other: Sequence[Point]) -> bool:
    return len(one) == len(other) and all(
        abs(a - b) <= WITHIN_PX
        for p, q in zip(one, other, strict=True)
        for a, b in zip(p, q, strict=True)
    )


@pytest.mark.parametrize("form", list(LabelFormat))
@given(drawing=boxes())
@settings(max_examples=60)
def test_boxes_come_back(form: LabelFormat, drawing: Drawing) -> None:
    size, shapes = drawing
    read = pass_through(form, shapes, size).shapes
    assert [(one.label, one.kind) for one in read] == [(one.label, one.kind) for one in shapes]
    assert all(is_near(a.points, b.points) for a, b in zip(shapes, read, strict=True))


@pytest.mark.parametrize("form", [LabelFormat.YOLO_OBB, LabelFormat.LABEL_STUDIO])
@given(drawing=turned_boxes())
@settings(max_examples=60)
def test_turned_boxes_come_back(form: LabelFormat, drawing: Drawing) -> None:
    size, shapes = drawing
    [read] = pass_through(form, shapes, size).shapes
    assert read.kind is ShapeKind.ROTATED_BOX
    assert is_near(read.points, shapes[0].points)


@pytest.mark.parametrize("form", [LabelFormat.COCO, LabelFormat.LABEL_STUDIO])
def test_polygons_come_back(form: LabelFormat) -> None:
    points = ((10.25, 10.5), (200.0, 30.0), (120.0, 220.75), (40.0, 90.0))
    [read] = pass_through(form, [drawn("bus", ShapeKind.POLYGON, *points)]).shapes
    assert (read.label, read.kind) == ("bus", ShapeKind.POLYGON)
    assert is_near(read.points, points)
