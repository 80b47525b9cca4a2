"""The outline of one region in pixels of the stored image: each form that Label Studio can draw."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from pydantic import JsonValue

from pipeline.annotations import ShapeKind
from pipeline.labels import geometry
from pipeline.labels.geometry import PercentBox, PercentEllipse, Points, Size

FURTHEST_PX = 1e6  # a corner further off than this is no corner
MOVED_PX = 0.5  # by less is rounding

Value = Mapping[str, JsonValue]
Outline = tuple[ShapeKind, Points]


class UnusableRegion(ValueError):
    """This region, for the reason given."""


def draw_outline(form: str, value: Value, drawn_on: Size, stored: Size) -> Outline:
    """One of `FORMS`, as drawn: it may reach outside the stored image. Raises UnusableRegion.

    Turned in pixels of the picture it was drawn on, and only then brought to the stored one's.
    """
    kind, points = FORMS[form](value, drawn_on)
    if drawn_on != stored:
        points = geometry.rescale(points, drawn_on, stored)
    if any(not abs(side) <= FURTHEST_PX for point in points for side in point):
        raise UnusableRegion("it is far outside the image")
    return kind, points


def fit_outline(kind: ShapeKind, points: Points, size: Size) -> Points:
    """Clipped to the image; a turned box as it is, where any of it is inside. Raises
    UnusableRegion where less than a pixel would be left."""
    if kind is ShapeKind.BRUSH:
        return ()
    if kind is ShapeKind.KEYPOINT:
        return _fit_keypoint(points, size)
    if _is_thin(kind, points):
        raise UnusableRegion("it is thinner than a pixel")
    if kind is ShapeKind.BOX:
        box = geometry.clip_box(geometry.surround(points), size)
        inside: Points = ((box.x1, box.y1), (box.x2, box.y2))
    else:
        inside = geometry.clip_polygon(points, size)
    if not inside or _is_thin(ShapeKind.POLYGON if kind is ShapeKind.ROTATED_BOX else kind, inside):
        raise UnusableRegion("less than a pixel of it is inside the image")
    return points if kind is ShapeKind.ROTATED_BOX else inside


def reaches_outside(points: Points, size: Size) -> bool:
    """By more than rounding explains."""
    if not points:
        return False
    box = geometry.surround(points)
    inside = geometry.clip_box(box, size)
    sides = zip(box.model_dump().values(), inside.model_dump().values(), strict=True)
    return any(abs(drawn - clipped) > MOVED_PX for drawn, clipped in sides)


def read_number(given: JsonValue, name: str) -> float:
    """Raises UnusableRegion for what is none, `name` in it."""
    if isinstance(given, bool) or not isinstance(given, int | float) or not math.isfinite(given):
        raise UnusableRegion(f"its {name} is no number")
    return float(given)


def _rectangle(value: Value, size: Size) -> Outline:
    x, y, rotation = _place(value)
    width, height = _side(value, "width"), _side(value, "height")
    corners = geometry.box_to_corners(PercentBox(x, y, width, height, rotation), size)
    return _upright_or_turned(corners, rotation)


def _ellipse(value: Value, size: Size) -> Outline:
    x, y, rotation = _place(value)
    across, down = _side(value, "radiusX"), _side(value, "radiusY")
    corners = geometry.ellipse_to_corners(PercentEllipse(x, y, across, down, rotation), size)
    return _upright_or_turned(corners, rotation)


def _place(value: Value) -> tuple[float, float, float]:
    """x, y, and the rotation, which may be left out."""
    x, y = read_number(value.get("x"), "x"), read_number(value.get("y"), "y")
    return x, y, read_number(value.get("rotation") or 0, "rotation")


def _side(value: Value, name: str) -> float:
    length = read_number(value.get(name), name)
    if length < 0:
        raise UnusableRegion(f"its {name} is below zero")
    return length


def _upright_or_turned(corners: Points, rotation: float) -> Outline:
    if not geometry.is_upright(rotation):
        return ShapeKind.ROTATED_BOX, corners
    box = geometry.surround(corners)
    return ShapeKind.BOX, ((box.x1, box.y1), (box.x2, box.y2))


def _polygon(value: Value, size: Size) -> Outline:
    given = value.get("points")
    points = given if isinstance(given, list) else []
    if len(points) < 3:
        raise UnusableRegion("it has fewer than 3 points")
    return ShapeKind.POLYGON, tuple(_point(point, size) for point in points)


def _point(given: JsonValue, size: Size) -> tuple[float, float]:
    if not isinstance(given, list) or len(given) != 2:
        raise UnusableRegion("a point of it is not one")
    place = read_number(given[0], "x"), read_number(given[1], "y")
    return geometry.point_to_pixels(place, size)


def _keypoint(value: Value, size: Size) -> Outline:
    return ShapeKind.KEYPOINT, (_point([value.get("x"), value.get("y")], size),)


def _brush(value: Value, size: Size) -> Outline:
    """Its mask stays in the annotation's result, as received."""
    if not (value.get("rle") or value.get("imageDataURL")):
        raise UnusableRegion("it has no mask")
    return ShapeKind.BRUSH, ()


def _fit_keypoint(points: Points, size: Size) -> Points:
    box = geometry.clip_box(geometry.surround(points), size)
    inside = ((box.x1, box.y1),)
    if math.dist(points[0], inside[0]) > MOVED_PX:
        raise UnusableRegion("it is outside the image")
    return inside


def _is_thin(kind: ShapeKind, points: Points) -> bool:
    """Of no use to anyone: a side of less than a pixel, or an area of less than one."""
    if kind is ShapeKind.ROTATED_BOX:
        sides = math.dist(points[0], points[1]), math.dist(points[1], points[2])
        return min(sides) < geometry.MIN_SIDE_PX
    if geometry.is_degenerate(geometry.surround(points)):
        return True
    return kind is ShapeKind.POLYGON and geometry.polygon_area(points) < geometry.MIN_SIDE_PX**2


FORMS: dict[str, Callable[[Value, Size], Outline]] = {
    "rectangle": _rectangle,
    "ellipse": _ellipse,
    "polygon": _polygon,
    "keypoint": _keypoint,
    "brush": _brush,
    "bitmask": _brush,
}
