"""The words that all formats share: what goes into a set, and what is found in a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from pipeline.annotations import Annotation, Point, Shape, ShapeKind
from pipeline.records import BoundingBox, Detections


class LabelFormat(StrEnum):
    """What a set of labels is written as."""

    YOLO = "yolo"
    YOLO_OBB = "yolo-obb"  # rotated boxes, as their four corners
    COCO = "coco"
    VOC = "voc"
    LABEL_STUDIO = "label-studio"


# What of a drawing each format can say; the rest is written as its upright box, or left out.
KINDS: Mapping[LabelFormat, frozenset[ShapeKind]] = {
    LabelFormat.YOLO: frozenset({ShapeKind.BOX}),
    LabelFormat.YOLO_OBB: frozenset({ShapeKind.BOX, ShapeKind.ROTATED_BOX}),
    LabelFormat.COCO: frozenset({ShapeKind.BOX, ShapeKind.ROTATED_BOX, ShapeKind.POLYGON}),
    LabelFormat.VOC: frozenset({ShapeKind.BOX}),
    LabelFormat.LABEL_STUDIO: frozenset({ShapeKind.BOX, ShapeKind.ROTATED_BOX, ShapeKind.POLYGON}),
}


class Remark(StrEnum):
    """What happened to a shape on its way into a set."""

    ROTATED_AS_UPRIGHT = "a rotated box is written as the upright box around it"
    POLYGON_AS_BOX = "a polygon is written as the box around it"
    CLIPPED = "what lies outside the image is cut off"
    UNKNOWN_LABEL = "a shape is left out: its label is not in the class list"
    BRUSH = "a shape is left out: the format has no brush strokes"
    KEYPOINT = "a shape is left out: the format has no keypoints"
    TOO_SMALL = "a shape is left out: less than a pixel of it lies in the image"


@dataclass(frozen=True)
class PlacedShape:
    """A shape as a format takes it: in pixels, within the image. Boxes have two points."""

    label: str
    class_id: int
    kind: ShapeKind
    points: tuple[Point, ...]
    bounds: BoundingBox


@dataclass(frozen=True)
class Entry:
    """One image of a set: what is known of it, what was chosen, and its shapes as they fit."""

    known: Detections
    annotation: Annotation
    shapes: tuple[PlacedShape, ...]

    @property
    def image(self) -> str:
        return self.known.provenance.id

    @property
    def file_name(self) -> str:
        """An image's id has no capitals but T and Z: no two names differ by case alone."""
        return f"{self.image}.jpg"


class Writer(Protocol):
    """Writes one set's labels. The images themselves are written beside it, below `images`."""

    @property
    def images(self) -> str:
        """The folder of the images in the set."""
        ...

    def add(self, entry: Entry) -> None: ...

    def finish(self) -> str:
        """Write what is known at the end alone; a word on the split, "" where there is none."""
        ...


@dataclass(frozen=True)
class FoundLabels:
    """What a file says of one image. `points` of its shapes count in units of which the image has
    `size` (1 by 1: fractions); None when the file does not say: then they are its pixels."""

    file: str
    name: str  # of the image, as the file has it
    shapes: tuple[Shape, ...] = ()
    scores: tuple[float | None, ...] = ()
    size: tuple[float, float] | None = None
    problems: tuple[str, ...] = ()
    modified_at: datetime | None = None
    picture: str | None = None  # the image beside it, if there is one
    task: Mapping[str, Any] | None = None  # Label Studio's, with `raw` of its annotations
    raw: Mapping[str, Any] | None = None
