"""Shapes as a format takes them: clipped to the image, and turned into boxes where need be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.annotations import Annotation, Point, Shape, ShapeKind
from pipeline.labels.geometry import (
    Points,
    Size,
    clip_box,
    clip_polygon,
    is_degenerate,
    surround,
)
from pipeline.records import BoundingBox
from services.labeling.sets.formats.vocabulary import KINDS, LabelFormat, PlacedShape, Remark

_TOLERATED_PX = 0.01  # rounding, not worth a word

_LEFT_OUT = {ShapeKind.BRUSH: Remark.BRUSH, ShapeKind.KEYPOINT: Remark.KEYPOINT}
_AS_BOX = {
    ShapeKind.ROTATED_BOX: Remark.ROTATED_AS_UPRIGHT,
    ShapeKind.POLYGON: Remark.POLYGON_AS_BOX,
}


@dataclass(frozen=True)
class Fitted:
    """The shapes that fit, what was done to them, and how often each unknown label was met."""

    shapes: tuple[PlacedShape, ...]
    remarks: Mapping[Remark, int]
    unknown: Mapping[str, int]


def fit_shapes(annotation: Annotation, classes: Sequence[str], form: LabelFormat) -> Fitted:
    """Every shape is placed, or remarked upon."""
    placed: list[PlacedShape] = []
    remarks: Counter[Remark] = Counter()
    unknown: Counter[str] = Counter()
    size = Size(annotation.width, annotation.height)
    for shape in annotation.shapes:
        if shape.label not in classes:
            remarks[Remark.UNKNOWN_LABEL] += 1
            unknown[shape.label] += 1
            continue
        fitted, said = fit_shape(shape, classes.index(shape.label), size, KINDS[form])
        remarks.update(said)
        if fitted is not None:
            placed.append(fitted)
    return Fitted(tuple(placed), remarks, unknown)


def fit_shape(
    shape: Shape, class_id: int, size: Size, kinds: frozenset[ShapeKind]
) -> tuple[PlacedShape | None, list[Remark]]:
    """The shape as one of `kinds`, and what was done to it; None where nothing is left."""
    whole = shape.bounds
    if whole is None or shape.kind in _LEFT_OUT:
        return None, [_LEFT_OUT.get(shape.kind, Remark.TOO_SMALL)]
    points, bounds = _clip(shape, whole, size)
    if is_degenerate(bounds):
        return None, [Remark.TOO_SMALL]
    remarks = []
    if _has_moved(whole, bounds):
        remarks.append(Remark.CLIPPED)
    kind = shape.kind
    if kind not in kinds:
        remarks.append(_AS_BOX[kind])
        kind, points = ShapeKind.BOX, ((bounds.x1, bounds.y1), (bounds.x2, bounds.y2))
    return PlacedShape(shape.label, class_id, kind, points, bounds), remarks


def _clip(shape: Shape, whole: BoundingBox, size: Size) -> tuple[Points, BoundingBox]:
    """What of a shape lies in the image, and the upright box around that. A turned box keeps four
    corners, each moved to the edge by itself: it is no longer quite a rectangle."""
    if shape.kind is ShapeKind.BOX:
        bounds = clip_box(whole, size)
        return ((bounds.x1, bounds.y1), (bounds.x2, bounds.y2)), bounds
    visible = clip_polygon(shape.points, size)
    bounds = surround(visible) if visible else BoundingBox(x1=0, y1=0, x2=0, y2=0)
    if shape.kind is ShapeKind.ROTATED_BOX:
        return tuple(_clamp(point, size) for point in shape.points), bounds
    return visible, bounds


def _clamp(point: Point, size: Size) -> Point:
    return min(max(point[0], 0.0), size.width), min(max(point[1], 0.0), size.height)


def _has_moved(before: BoundingBox, after: BoundingBox) -> bool:
    sides = ("x1", "y1", "x2", "y2")
    return any(abs(getattr(before, s) - getattr(after, s)) > _TOLERATED_PX for s in sides)


def corners_of(shape: PlacedShape) -> Points:
    """A box's four corners, clockwise from the top left; of anything else its points."""
    if shape.kind is not ShapeKind.BOX:
        return shape.points
    box = shape.bounds
    return ((box.x1, box.y1), (box.x2, box.y1), (box.x2, box.y2), (box.x1, box.y2))
