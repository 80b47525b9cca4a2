"""What people say of an image, as frozen records: an object per revision, none ever overwritten."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pydantic import Field, JsonValue

from pipeline.records import BoundingBox, Record

# The labels of the first interface, in the order of their class ids: pinned, since a training set
# names them by number. New ones go to the end.
CLASSES = ("person", "bicycle", "car", "motorcycle", "bus", "truck", "face")

Point = tuple[float, float]


class AnnotationStatus(StrEnum):
    """What became of one person's look at one image."""

    LABELLED = "labelled"
    NEGATIVE = "negative"  # looked at, and nothing there
    SKIPPED = "skipped"
    DELETED = "deleted"
    UNUSABLE = "unusable"  # nothing of it can be used; `problems` says why


# What a training set may be made from.
USABLE = frozenset({AnnotationStatus.LABELLED, AnnotationStatus.NEGATIVE})


class ShapeKind(StrEnum):
    """How many `points` a shape has: a box 2 (top left, bottom right), a rotated box 4 (its corners
    in order), a polygon 3 or more, a keypoint 1, a brush stroke none (its mask is in `result`)."""

    BOX = "box"
    ROTATED_BOX = "rotated-box"
    POLYGON = "polygon"
    KEYPOINT = "keypoint"
    BRUSH = "brush"


# What an object detector can be trained on.
OUTLINED = frozenset({ShapeKind.BOX, ShapeKind.ROTATED_BOX, ShapeKind.POLYGON})


class Shape(Record):
    """What a person drew, in pixels of the stored image, clipped to it unless it is rotated."""

    label: str
    kind: ShapeKind
    points: tuple[Point, ...] = ()

    @property
    def bounds(self) -> BoundingBox | None:
        """The smallest upright box around it; None for a brush stroke."""
        if not self.points:
            return None
        across, down = zip(*self.points, strict=True)
        return BoundingBox(x1=min(across), y1=min(down), x2=max(across), y2=max(down))


class Origin(Record):
    """Where an annotation was made. `project`: the server's address, and the project's number and
    time of making; `annotation`: its number there, or for an imported file whatever tells it from
    others."""

    project: str
    task: int | None = None
    annotation: str
    from_prediction: str = ""  # the version of the model whose prediction was taken over


class Annotation(Record):
    """One revision of what one person said of one image. The commit mark is the object itself."""

    image: str
    revision: str
    status: AnnotationStatus
    author: str
    created_at: datetime
    updated_at: datetime
    lead_time_s: float | None = None
    ground_truth: bool = False
    width: int  # of the stored image, in pixels
    height: int
    shapes: tuple[Shape, ...] = ()
    problems: tuple[str, ...] = ()  # what of it could not be used, and why
    origin: Origin
    result: tuple[dict[str, JsonValue], ...] = Field(default=(), repr=False)  # as received
