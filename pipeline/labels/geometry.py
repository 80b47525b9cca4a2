"""Pixels of an image to Label Studio's percentages, and back.

Over there x and y are the top left corner in percent of the width and the height, and a box is
turned by `rotation` degrees clockwise about that corner. The turning happens in pixels, where both
axes have the same unit: turned in percent, a box on a picture that is not square is elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.annotations import Point
from pipeline.records import BoundingBox

MIN_SIDE_PX = 1.0
UPRIGHT_WITHIN_DEG = 1e-3  # moves the far corner of a 20,000 px side by a third of a pixel
MIRRORED_PX2 = 1e-3  # below zero by less is the rounding of a box without an area

Points = tuple[Point, ...]


@dataclass(frozen=True)
class Size:
    """Of an image, in pixels; both sides above zero."""

    width: float
    height: float


@dataclass(frozen=True)
class PercentBox:
    """A box as Label Studio writes it: percent, and degrees clockwise about (x, y)."""

    x: float
    y: float
    width: float
    height: float
    rotation: float = 0.0


@dataclass(frozen=True)
class PercentEllipse:
    """An ellipse as Label Studio writes it: (x, y) is its centre, about which it is turned."""

    x: float
    y: float
    radius_x: float
    radius_y: float
    rotation: float = 0.0


def point_to_percent(point: Point, size: Size) -> Point:
    return point[0] / size.width * 100, point[1] / size.height * 100


def point_to_pixels(point: Point, size: Size) -> Point:
    return point[0] / 100 * size.width, point[1] / 100 * size.height


def box_to_percent(box: BoundingBox, size: Size) -> PercentBox:
    x, y = point_to_percent((box.x1, box.y1), size)
    width, height = point_to_percent((box.x2 - box.x1, box.y2 - box.y1), size)
    return PercentBox(x, y, width, height)


def corners_to_percent(corners: Sequence[Point], size: Size) -> PercentBox:
    """`corners`: the four of a turned box in pixels, in order. Anticlockwise ones start elsewhere:
    Label Studio's boxes cannot be mirrored."""
    first, second, third, last = corners
    if _area(corners) < -MIRRORED_PX2:
        second, last = last, second
    x, y = point_to_percent(first, size)
    sides = math.dist(first, second), math.dist(second, third)
    width, height = point_to_percent(sides, size)
    # The longer side tells the angle: the other may be of no length.
    angle = _direction(first, second) if sides[0] >= sides[1] else _direction(first, last) - 90
    return PercentBox(x, y, width, height, angle % 360)


def box_to_corners(box: PercentBox, size: Size) -> Points:
    """Its corners in pixels: top left, then clockwise, as they were before it was turned."""
    x, y = point_to_pixels((box.x, box.y), size)
    width, height = point_to_pixels((box.width, box.height), size)
    cos, sin = _turn(box.rotation)
    across, down = (width * cos, width * sin), (-height * sin, height * cos)
    return (
        (x, y),
        (x + across[0], y + across[1]),
        (x + across[0] + down[0], y + across[1] + down[1]),
        (x + down[0], y + down[1]),
    )


def ellipse_to_corners(ellipse: PercentEllipse, size: Size) -> Points:
    """The corners in pixels of the box that touches it on four sides, turned as it is."""
    x, y = point_to_pixels((ellipse.x, ellipse.y), size)
    radius_x, radius_y = point_to_pixels((ellipse.radius_x, ellipse.radius_y), size)
    cos, sin = _turn(ellipse.rotation)
    corners = ((-1, -1), (1, -1), (1, 1), (-1, 1))
    return tuple(
        (
            x + across * radius_x * cos - down * radius_y * sin,
            y + across * radius_x * sin + down * radius_y * cos,
        )
        for across, down in corners
    )


def is_upright(rotation: float) -> bool:
    """Whether a box turned by so many degrees has its sides along the axes."""
    off = rotation % 90
    return min(off, 90 - off) < UPRIGHT_WITHIN_DEG


def rescale(points: Sequence[Point], drawn_on: Size, stored: Size) -> Points:
    """Points of a picture in another size, as points of the stored one."""
    across, down = stored.width / drawn_on.width, stored.height / drawn_on.height
    return tuple((x * across, y * down) for x, y in points)


def surround(points: Sequence[Point]) -> BoundingBox:
    """The smallest upright box around them."""
    across, down = zip(*points, strict=True)
    return BoundingBox(x1=min(across), y1=min(down), x2=max(across), y2=max(down))


def clip_box(box: BoundingBox, size: Size) -> BoundingBox:
    """What of it lies in the image; a box outside ends as a line on the image's edge."""
    x1, x2 = (min(max(x, 0.0), float(size.width)) for x in (box.x1, box.x2))
    y1, y2 = (min(max(y, 0.0), float(size.height)) for y in (box.y1, box.y2))
    return BoundingBox(x1=x1, y1=y1, x2=x2, y2=y2)


def clip_polygon(points: Sequence[Point], size: Size) -> Points:
    """What of it lies in the image (Sutherland and Hodgman's way, an edge of the image at a time);
    empty where nothing does."""
    clipped = list(points)
    for axis, limit, side in (
        (0, 0.0, 1),
        (0, float(size.width), -1),
        (1, 0.0, 1),
        (1, float(size.height), -1),
    ):
        clipped = _cut(clipped, axis, limit, side)
    return tuple(clipped)


def is_degenerate(box: BoundingBox) -> bool:
    """Thinner than a pixel."""
    return min(box.x2 - box.x1, box.y2 - box.y1) < MIN_SIDE_PX


def polygon_area(points: Sequence[Point]) -> float:
    """In square pixels, whichever way round it was drawn."""
    return abs(_area(points))


def _cut(points: list[Point], axis: int, limit: float, side: int) -> list[Point]:
    """`points` without what lies beyond `limit`; `side` is 1 to keep what is above it, else -1."""

    def is_inside(point: Point) -> bool:
        return (point[axis] - limit) * side >= 0

    kept: list[Point] = []
    for before, point in zip([*points[-1:], *points[:-1]], points, strict=True):
        if is_inside(before) != is_inside(point):
            kept.append(_cross(before, point, axis, limit))
        if is_inside(point):
            kept.append(point)
    return kept


def _cross(start: Point, end: Point, axis: int, limit: float) -> Point:
    """Where the line between two points meets x (axis 0) or y (axis 1) = `limit`."""
    share = (limit - start[axis]) / (end[axis] - start[axis])
    other = start[1 - axis] + share * (end[1 - axis] - start[1 - axis])
    return (limit, other) if axis == 0 else (other, limit)


def _area(points: Sequence[Point]) -> float:
    """Above zero where they go round clockwise, y being down."""
    pairs = zip(points, [*points[1:], *points[:1]], strict=True)
    return sum(ax * by - bx * ay for (ax, ay), (bx, by) in pairs) / 2


def _direction(start: Point, end: Point) -> float:
    return math.degrees(math.atan2(end[1] - start[1], end[0] - start[0]))


def _turn(rotation: float) -> tuple[float, float]:
    """Cosine and sine; exact for quarter turns, which leave a box's sides along the axes."""
    angle = rotation % 360
    if angle % 90 == 0:
        return ((1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0))[int(angle // 90) % 4]
    return math.cos(math.radians(angle)), math.sin(math.radians(angle))
