"""What a file says of an image of ours, as an annotation of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pipeline.annotations import CLASSES, Annotation, AnnotationStatus, Origin, Shape, ShapeKind
from pipeline.labels.geometry import (
    Points,
    Size,
    clip_box,
    clip_polygon,
    is_degenerate,
    rescale,
    surround,
)
from services.labeling.receiving.interpretation import ImageFacts, interpret
from services.labeling.sets.formats.vocabulary import FoundLabels
from services.labeling.sets.formats.yolo_lines import is_rectangle
from services.labeling.studio.protocol import StudioTask

EMPTY = "it is empty, which may mean that nobody looked: say whether that is a negative"
NOTHING_USABLE = "nothing in it can be used"
_SAME_SHAPE = 0.02  # how far the sides' proportion may be off for an image in another size
_UPRIGHT_PX = 0.05
_FAR_PX = 1e6  # beyond any image: geometry with it ends in NaN


@dataclass(frozen=True)
class Import:
    """`name` tells one import from others: what it says again replaces what it said before.
    `rename`: labels as they are in the files, to ours. `empty_is_negative`: whether an image with
    no labels was looked at. `at`: the time now, later than which nothing was drawn."""

    name: str
    author: str
    at: datetime
    rename: Mapping[str, str] = field(default_factory=dict)
    empty_is_negative: bool = False


@dataclass(frozen=True)
class Converted:
    """`scores` are beside the annotation's shapes."""

    annotation: Annotation
    scores: tuple[float | None, ...]


def convert(found: FoundLabels, image: ImageFacts, origin: Import) -> Converted | str:
    """The annotation, or why there is none."""
    if found.raw is not None:
        return _convert_received(found, found.raw, image, origin)
    size = _find_scale(found, image)
    if isinstance(size, str):
        return size
    problems = list(found.problems)
    if size != Size(1, 1) and size != Size(image.width, image.height):
        problems.append(f"scaled from {size.width:g} by {size.height:g} pixels")
    placed = _place_all(found, size, image, origin, problems)
    if not placed and (problems or not origin.empty_is_negative):
        return NOTHING_USABLE if problems else EMPTY
    shapes = tuple(shape for shape, _ in placed)
    annotation = _annotate(shapes, tuple(problems), image, origin, found.modified_at)
    return Converted(annotation, tuple(score for _, score in placed))


def _convert_received(
    found: FoundLabels, raw: Mapping[str, Any], image: ImageFacts, origin: Import
) -> Converted:
    """A Label Studio's annotation is read as if it had come from the server itself, but for its
    task: that is none of ours."""
    task = found.task or {}
    studio_task = StudioTask(
        id=0,
        image_id=image.id,
        data={},
        updated_at=_cap(found.modified_at, origin.at),
        predictions=[one for one in _list(task.get("predictions")) if isinstance(one, Mapping)],
    )
    annotation = interpret(image, f"import:{origin.name}", studio_task, raw)
    shapes = tuple(_rename(shape, origin) for shape in annotation.shapes)
    author = origin.author if annotation.author == "unknown" else annotation.author
    mine = annotation.origin.model_copy(update={"task": None})
    changed = {"shapes": shapes, "author": author, "origin": mine}
    return Converted(annotation.model_copy(update=changed), (None,) * len(shapes))


def _find_scale(found: FoundLabels, image: ImageFacts) -> Size | str:
    """The size in whose units its points are; a reason where they cannot be those of the image."""
    if found.size is None:
        return Size(image.width, image.height)
    size = Size(*found.size)
    stored = image.width / image.height
    if size != Size(1, 1) and min(found.size) < 1:
        return "the size it was drawn on is no image's"
    if size != Size(1, 1) and abs(size.width / size.height / stored - 1) > _SAME_SHAPE:
        drawn_on = f"{size.width:g} by {size.height:g}"
        return f"it was drawn on {drawn_on} pixels, the image has {image.width} by {image.height}"
    return size


def _place_all(
    found: FoundLabels, size: Size, image: ImageFacts, origin: Import, problems: list[str]
) -> list[tuple[Shape, float | None]]:
    stored = Size(image.width, image.height)
    placed = []
    for number, (shape, score) in enumerate(zip(found.shapes, found.scores, strict=True), start=1):
        points = rescale(shape.points, size, stored)
        fitted = _place(_rename(shape, origin), points, stored)
        if fitted is None:
            problems.append(
                f"shape {number}: less than a pixel of it is in the image, or it reaches far out"
            )
            continue
        placed.append((fitted, score))
    unknown = sorted({shape.label for shape, _ in placed} - set(CLASSES))
    problems += [f"label {label[:100]!r} is not in the class list" for label in unknown[:100]]
    return placed


def _place(shape: Shape, points: Points, size: Size) -> Shape | None:
    """Clipped to the image, unless it is rotated. Four corners that are no rectangle are a
    polygon, and those of an upright one are a box."""
    if not all(abs(part) <= _FAR_PX for point in points for part in point):
        return None
    kind = _tell_kind(points) if shape.kind is ShapeKind.ROTATED_BOX else shape.kind
    visible = clip_polygon(points, size) if kind is not ShapeKind.BOX else points
    if not visible:
        return None
    bounds = clip_box(surround(visible), size)
    if is_degenerate(bounds):
        return None
    if kind is ShapeKind.BOX:
        points = ((bounds.x1, bounds.y1), (bounds.x2, bounds.y2))
    elif kind is ShapeKind.POLYGON:
        points = visible
    return Shape(label=shape.label, kind=kind, points=points)


def _tell_kind(corners: Points) -> ShapeKind:
    if not is_rectangle(corners):
        return ShapeKind.POLYGON
    box = surround(corners)
    is_upright = all(
        min(abs(x - box.x1), abs(x - box.x2)) < _UPRIGHT_PX
        and min(abs(y - box.y1), abs(y - box.y2)) < _UPRIGHT_PX
        for x, y in corners
    )
    return ShapeKind.BOX if is_upright else ShapeKind.ROTATED_BOX


def _annotate(
    shapes: tuple[Shape, ...],
    problems: tuple[str, ...],
    image: ImageFacts,
    origin: Import,
    modified_at: datetime | None,
) -> Annotation:
    """The same file read again gives the same revision: its time is the file's."""
    at = _cap(modified_at, origin.at)
    said = [[shape.model_dump(mode="json") for shape in shapes], list(problems), origin.author]
    digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
    return Annotation(
        image=image.id,
        revision=f"{at.astimezone(UTC):%Y%m%dT%H%M%S%fZ}-{digest[:8]}",
        status=AnnotationStatus.LABELLED if shapes else AnnotationStatus.NEGATIVE,
        author=origin.author,
        created_at=at,
        updated_at=at,
        width=image.width,
        height=image.height,
        shapes=shapes,
        problems=problems,
        origin=Origin(project=f"import:{origin.name}", annotation=image.id),
    )


def _rename(shape: Shape, origin: Import) -> Shape:
    label = origin.rename.get(shape.label)
    return shape if label is None else shape.model_copy(update={"label": label})


def _cap(modified_at: datetime | None, now: datetime) -> datetime:
    """A file from the future would stay the newest for ever."""
    return now if modified_at is None else min(modified_at, now)


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
