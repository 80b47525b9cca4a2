"""Percent and pixels are two ways to say the same place, at any angle, on any picture."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.annotations import Point
from pipeline.labels import geometry
from pipeline.labels.geometry import PercentBox, PercentEllipse, Size
from pipeline.records import BoundingBox

NEAR_PX = 0.5
WIDE = Size(640, 480)

sizes = st.builds(Size, st.integers(1, 20_000), st.integers(1, 20_000))
angles = st.floats(-1080, 1080)
shares = st.floats(0, 1)


@st.composite
def pictured_boxes(draw: st.DrawFn) -> tuple[BoundingBox, Size]:
    size = draw(sizes)
    x1, x2 = sorted(draw(shares) * size.width for _ in range(2))
    y1, y2 = sorted(draw(shares) * size.height for _ in range(2))
    return BoundingBox(x1=x1, y1=y1, x2=x2, y2=y2), size


@st.composite
def turned_boxes(draw: st.DrawFn) -> tuple[PercentBox, Size]:
    size = draw(sizes)
    x, y, width, height = (draw(st.floats(0, 100)) for _ in range(4))
    return PercentBox(x, y, width, height, draw(angles)), size


def furthest(some: tuple[Point, ...], others: tuple[Point, ...]) -> float:
    return max(math.dist(a, b) for a, b in zip(some, others, strict=True))


@given(pictured_boxes())
def test_upright_box_comes_back_within_half_a_pixel(pictured: tuple[BoundingBox, Size]) -> None:
    box, size = pictured
    corners = geometry.box_to_corners(geometry.box_to_percent(box, size), size)
    expected = ((box.x1, box.y1), (box.x2, box.y1), (box.x2, box.y2), (box.x1, box.y2))
    assert furthest(corners, expected) <= NEAR_PX
    assert geometry.surround(corners).x2 == pytest.approx(box.x2, abs=1e-6)


@given(turned_boxes())
def test_turned_box_comes_back_within_half_a_pixel(turned: tuple[PercentBox, Size]) -> None:
    box, size = turned
    corners = geometry.box_to_corners(box, size)
    again = geometry.box_to_corners(geometry.corners_to_percent(corners, size), size)
    assert furthest(corners, again) <= NEAR_PX


@given(turned_boxes())
def test_turning_keeps_sides_and_right_angles(turned: tuple[PercentBox, Size]) -> None:
    box, size = turned
    a, b, c, d = geometry.box_to_corners(box, size)
    width, height = geometry.point_to_pixels((box.width, box.height), size)
    assert math.dist(a, b) == pytest.approx(width, abs=1e-6)
    assert math.dist(b, c) == pytest.approx(height, abs=1e-6)
    assert math.dist(a, c) == pytest.approx(math.dist(b, d), abs=1e-6)


@given(turned_boxes(), st.sampled_from((-720, -360, 360, 1080)))
def test_whole_turns_change_nothing(turned: tuple[PercentBox, Size], turns: int) -> None:
    box, size = turned
    further = PercentBox(box.x, box.y, box.width, box.height, box.rotation + turns)
    corners = geometry.box_to_corners(box, size)
    assert furthest(corners, geometry.box_to_corners(further, size)) <= NEAR_PX


@given(sizes, shares, shares)
def test_point_comes_back(size: Size, across: float, down: float) -> None:
    point = (across * size.width, down * size.height)
    again = geometry.point_to_pixels(geometry.point_to_percent(point, size), size)
    assert math.dist(point, again) <= NEAR_PX


def test_rotation_is_clockwise_about_the_top_left_corner_in_pixels() -> None:
    """30° on a picture of 640 x 480, worked by hand: 128 x 48 px from (256, 192)."""
    corners = geometry.box_to_corners(PercentBox(40, 40, 20, 10, 30), WIDE)
    assert corners[0] == (256, 192)
    assert corners[1] == pytest.approx((256 + 110.851, 192 + 64.0), abs=1e-3)
    assert corners[2] == pytest.approx((256 + 86.851, 192 + 64 + 41.569), abs=1e-3)
    assert corners[3] == pytest.approx((256 - 24.0, 192 + 41.569), abs=1e-3)


def test_surrounding_box_of_a_turned_one_is_the_one_measured() -> None:
    """By a real export, turned in pixels: x 232, width 134.9; turned in percent: 224, 142.9."""
    box = geometry.surround(geometry.box_to_corners(PercentBox(40, 40, 20, 10, 30), WIDE))
    assert box.x1 == pytest.approx(232, abs=0.05)
    assert box.y1 == 192
    assert box.x2 - box.x1 == pytest.approx(134.9, abs=0.05)
    assert box.y2 - box.y1 == pytest.approx(105.6, abs=0.05)


def test_a_quarter_turn_on_a_picture_twice_as_wide_as_high_is_exact() -> None:
    corners = geometry.box_to_corners(PercentBox(20, 20, 30, 20, 90), Size(1000, 500))
    assert corners == ((200, 100), (200, 400), (100, 400), (100, 100))


@pytest.mark.parametrize("rotation", [0, 90, -90, 180, 450, -720, 360.0005, 89.9995])
def test_quarter_turns_are_upright(rotation: float) -> None:
    assert geometry.is_upright(rotation)


@pytest.mark.parametrize("rotation", [0.01, -0.01, 45, 89.9, 450.1])
def test_other_turns_are_not_upright(rotation: float) -> None:
    assert not geometry.is_upright(rotation)


def test_corners_drawn_anticlockwise_are_the_same_box() -> None:
    corners = geometry.box_to_corners(PercentBox(40, 40, 20, 10, 30), WIDE)
    mirrored = (corners[0], corners[3], corners[2], corners[1])
    again = geometry.box_to_corners(geometry.corners_to_percent(mirrored, WIDE), WIDE)
    assert furthest(corners, again) <= 1e-6


@given(st.floats(10, 90), st.floats(10, 90), st.floats(1, 40), st.floats(1, 40), angles)
def test_box_around_an_ellipse_has_its_centre_and_diameters(
    x: float, y: float, radius_x: float, radius_y: float, rotation: float
) -> None:
    ellipse = PercentEllipse(x, y, radius_x, radius_y, rotation)
    a, b, c, d = geometry.ellipse_to_corners(ellipse, WIDE)
    centre = geometry.point_to_pixels((x, y), WIDE)
    assert ((a[0] + c[0]) / 2, (a[1] + c[1]) / 2) == pytest.approx(centre, abs=1e-6)
    assert math.dist(a, b) == pytest.approx(2 * radius_x * 6.4)
    assert math.dist(a, d) == pytest.approx(2 * radius_y * 4.8)


@given(st.tuples(*[st.floats(-1e6, 1e6)] * 4), sizes)
def test_clipped_box_lies_in_the_image(sides: tuple[float, ...], size: Size) -> None:
    (x1, x2), (y1, y2) = sorted(sides[:2]), sorted(sides[2:])
    box = geometry.clip_box(BoundingBox(x1=x1, y1=y1, x2=x2, y2=y2), size)
    assert 0 <= box.x1 <= box.x2 <= size.width
    assert 0 <= box.y1 <= box.y2 <= size.height


@given(pictured_boxes())
def test_box_in_the_image_is_clipped_to_itself(pictured: tuple[BoundingBox, Size]) -> None:
    box, size = pictured
    assert geometry.clip_box(box, size) == box


@pytest.mark.parametrize(
    ("box", "thin"),
    [
        (BoundingBox(x1=5, y1=5, x2=5, y2=9), True),
        (BoundingBox(x1=5, y1=5, x2=5.99, y2=9), True),
        (BoundingBox(x1=5, y1=5, x2=9, y2=5.5), True),
        (BoundingBox(x1=5, y1=5, x2=6, y2=6), False),
    ],
)
def test_box_thinner_than_a_pixel_is_degenerate(box: BoundingBox, thin: bool) -> None:
    assert geometry.is_degenerate(box) is thin


def test_polygon_over_a_corner_is_cut_along_both_edges() -> None:
    diamond = ((0, -20), (20, 0), (0, 20), (-20, 0))
    clipped = geometry.clip_polygon(diamond, WIDE)
    assert geometry.polygon_area(clipped) == pytest.approx(200)
    assert set(clipped) == {(0, 0), (20, 0), (0, 20)}


@given(st.lists(st.tuples(st.floats(-900, 900), st.floats(-900, 900)), min_size=3, max_size=8))
def test_clipped_polygon_lies_in_the_image_and_never_grows(points: list[Point]) -> None:
    clipped = geometry.clip_polygon(points, WIDE)
    assert all(-1e-6 <= x <= 640 + 1e-6 and -1e-6 <= y <= 480 + 1e-6 for x, y in clipped)
    assert all(
        any(math.dist(point, other) < 1e-6 for other in clipped)
        for point in points
        if 0 <= point[0] <= 640 and 0 <= point[1] <= 480
    )


def test_polygon_outside_leaves_nothing() -> None:
    assert geometry.clip_polygon(((-9, -9), (-1, -9), (-1, -1)), WIDE) == ()


def test_points_of_a_smaller_copy_are_rescaled_per_axis() -> None:
    assert geometry.rescale([(64, 48)], WIDE, Size(1920, 960)) == ((192, 96),)
