"""Images that people labelled, in a folder store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from pipeline import keys
from pipeline.annotations import Annotation, AnnotationStatus, Origin, Point, Shape, ShapeKind
from pipeline.storage import ObjectStore, put_json
from tests.factories import MORNING, SIZE, Wanted, make_image
from traboule.workspace import Workspace, open_workspace

CORNERS = ((100.0, 100.0), (180.0, 160.0), (150.0, 200.0), (70.0, 140.0))  # a turned box
PROJECT = "http://127.0.0.1:8080#1"


@dataclass(frozen=True)
class Said:
    """An annotation to store. `number` tells one from another; `minute` is when it was changed."""

    shapes: Sequence[Shape] = ()
    status: AnnotationStatus = AnnotationStatus.LABELLED
    number: int = 1
    author: str = "ann@example.com"
    minute: int = 0
    ground_truth: bool = False
    size: tuple[int, int] = SIZE
    project: str = PROJECT
    result: tuple[dict[str, object], ...] = field(default=())


def box(label: str, x1: float, y1: float, x2: float, y2: float) -> Shape:
    return Shape(label=label, kind=ShapeKind.BOX, points=((x1, y1), (x2, y2)))


def drawn(label: str, kind: ShapeKind, *points: Point) -> Shape:
    return Shape(label=label, kind=kind, points=points)


def make_annotation(image: str, said: Said) -> Annotation:
    at = MORNING + timedelta(minutes=said.minute)
    return Annotation.model_validate(
        {
            "image": image,
            "revision": f"{at:%Y%m%dT%H%M%S%fZ}-{said.number:08x}",
            "status": said.status,
            "author": said.author,
            "created_at": MORNING,
            "updated_at": at,
            "ground_truth": said.ground_truth,
            "width": said.size[0],
            "height": said.size[1],
            "shapes": tuple(said.shapes),
            "origin": Origin(project=said.project, task=1, annotation=str(said.number)),
            "result": said.result,
        }
    )


def store_annotation(store: ObjectStore, annotation: Annotation) -> None:
    key = keys.annotation(annotation.image, annotation.revision)
    put_json(store, key, annotation.model_dump_json())


def make_labelled(workspace: Workspace, at: datetime, *said: Said, camera: str = "quai") -> str:
    """An image and what people said of it; its id."""
    image = make_image(workspace, Wanted(camera, at))
    for one in said:
        store_annotation(workspace.store, make_annotation(image, one))
    return image


def open_folder(folder: Path) -> Workspace:
    return open_workspace(folder)
