"""The forms that Label Studio draws, in pixels of the stored image."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.annotations import ShapeKind
from pipeline.labels.geometry import Size
from services.labeling.receiving.outlines import (
    FORMS,
    UnusableRegion,
    Value,
    draw_outline,
    fit_outline,
    reaches_outside,
    read_number,
)

STORED = Size(640, 480)
BOX: Value = {"x": 10, "y": 20, "width": 30, "height": 40}


@pytest.mark.parametrize("rotation", [0, None, 360, -720, 0.0004])
def test_an_upright_rectangle_is_a_box(rotation: float | None) -> None:
    kind, points = draw_outline("rectangle", {**BOX, "rotation": rotation}, STORED, STORED)
    assert kind is ShapeKind.BOX
    assert points[0] == pytest.approx((64, 96), abs=0.01)
    assert points[1] == pytest.approx((256, 288), abs=0.01)


def test_a_rectangle_turned_by_a_quarter_is_a_box_beside_its_corner() -> None:
    kind, points = draw_outline("rectangle", {**BOX, "x": 50, "rotation": 90}, STORED, STORED)
    assert (kind, points) == (ShapeKind.BOX, ((320 - 192, 96), (320, 96 + 192)))


def test_a_turned_rectangle_keeps_its_four_corners() -> None:
    kind, points = draw_outline("rectangle", {**BOX, "rotation": 30}, STORED, STORED)
    assert kind is ShapeKind.ROTATED_BOX
    assert points[0] == (64, 96)
    assert math.dist(points[0], points[1]) == pytest.approx(192)


def test_an_ellipse_is_the_box_around_it() -> None:
    ellipse: Value = {"x": 50, "y": 50, "radiusX": 10, "radiusY": 20, "rotation": 0}
    kind, points = draw_outline("ellipse", ellipse, STORED, STORED)
    assert (kind, points) == (ShapeKind.BOX, ((256, 144), (384, 336)))
    turned = draw_outline("ellipse", {**ellipse, "rotation": 45}, STORED, STORED)
    assert turned[0] is ShapeKind.ROTATED_BOX


def test_a_turned_box_is_turned_on_the_picture_it_was_drawn_on() -> None:
    """On a copy half as wide a quarter turn still swaps pixels, and only then is it stretched."""
    value: Value = {"x": 50, "y": 10, "width": 20, "height": 10, "rotation": 90}
    _, points = draw_outline("rectangle", value, Size(320, 480), STORED)
    assert points == ((320 - 48 * 2, 48), (320, 48 + 64))


def test_a_box_over_the_edge_is_clipped_and_a_turned_one_is_not() -> None:
    out: Value = {"x": 90, "y": 90, "width": 30, "height": 30}
    kind, points = draw_outline("rectangle", out, STORED, STORED)
    assert reaches_outside(points, STORED)
    assert fit_outline(kind, points, STORED) == ((576, 432), (640, 480))
    kind, points = draw_outline("rectangle", {**out, "rotation": 10}, STORED, STORED)
    assert fit_outline(kind, points, STORED) == points


@pytest.mark.parametrize(
    ("form", "value", "reason"),
    [
        ("rectangle", {**BOX, "width": 0}, "thinner than a pixel"),
        ("rectangle", {**BOX, "height": 0.2}, "thinner than a pixel"),
        ("rectangle", {**BOX, "width": 0.1, "rotation": 45}, "thinner than a pixel"),
        ("rectangle", {**BOX, "x": -31}, "less than a pixel of it"),
        ("rectangle", {**BOX, "x": 99.9}, "less than a pixel of it"),
        ("rectangle", {**BOX, "x": 140, "rotation": 20}, "less than a pixel of it"),
        ("ellipse", {"x": 5, "y": 5, "radiusX": 0, "radiusY": 4}, "thinner than a pixel"),
        ("polygon", {"points": [[10, 10], [20, 20], [30, 30]]}, "thinner than a pixel"),
        ("polygon", {"points": [[-9, -9], [-5, -9], [-5, -5]]}, "less than a pixel of it"),
        ("keypoint", {"x": 101, "y": 50}, "it is outside the image"),
    ],
)
def test_what_leaves_less_than_a_pixel_is_unusable(form: str, value: Value, reason: str) -> None:
    kind, points = draw_outline(form, value, STORED, STORED)
    with pytest.raises(UnusableRegion, match=reason):
        fit_outline(kind, points, STORED)


@pytest.mark.parametrize(
    ("form", "value", "reason"),
    [
        ("rectangle", {}, "its x is no number"),
        ("rectangle", {**BOX, "y": "20"}, "its y is no number"),
        ("rectangle", {**BOX, "x": True}, "its x is no number"),
        ("rectangle", {**BOX, "width": -30}, "its width is below zero"),
        ("rectangle", {**BOX, "width": 1e300}, "far outside"),
        ("rectangle", {**BOX, "width": 1e308, "x": 1e308}, "far outside"),
        ("rectangle", {**BOX, "rotation": "left"}, "its rotation is no number"),
        ("ellipse", {"x": 5, "y": 5, "radiusX": -1, "radiusY": 4}, "its radiusX is below zero"),
        ("polygon", {"points": [[1, 1], [2, 2]]}, "fewer than 3 points"),
        ("polygon", {"points": "1 1 2 2 3 3"}, "fewer than 3 points"),
        ("polygon", {}, "fewer than 3 points"),
        ("polygon", {"points": [[1, 1], [2, 2], [3]]}, "a point of it is not one"),
        ("polygon", {"points": [[1, 1], [2, 2], None]}, "a point of it is not one"),
        ("keypoint", {"x": 1}, "its y is no number"),
        ("brush", {"format": "rle"}, "it has no mask"),
        ("bitmask", {}, "it has no mask"),
    ],
)
def test_what_is_no_outline_is_unusable(form: str, value: Value, reason: str) -> None:
    with pytest.raises(UnusableRegion, match=reason):
        draw_outline(form, value, STORED, STORED)


@pytest.mark.parametrize("given", [math.nan, math.inf, -math.inf, None, "1", [1], False])
def test_what_is_no_number_is_named(given: float) -> None:
    with pytest.raises(UnusableRegion, match="its x is no number"):
        read_number(given, "x")


numbers = st.one_of(st.none(), st.text(max_size=3), st.floats(), st.integers(-200, 200))
values = st.fixed_dictionaries(
    {},
    optional={
        "points": st.lists(st.lists(numbers, max_size=3), max_size=5),
        **dict.fromkeys(
            ("x", "y", "width", "height", "radiusX", "radiusY", "rotation", "rle"), numbers
        ),
    },
)


@given(st.sampled_from(sorted(FORMS)), values)
def test_any_value_is_an_outline_in_the_image_or_unusable(form: str, value: Value) -> None:
    try:
        kind, points = draw_outline(form, value, STORED, STORED)
        fitted = fit_outline(kind, points, STORED)
    except UnusableRegion:
        return
    assert all(math.isfinite(side) for point in fitted for side in point)
    if kind is not ShapeKind.ROTATED_BOX:
        assert not reaches_outside(fitted, STORED)
