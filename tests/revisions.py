"""What people said of images, made up: revisions of annotations, in the store and the catalog."""

from __future__ import annotations

import zlib
from datetime import UTC, datetime, timedelta

from pipeline import keys
from pipeline.annotations import Annotation, AnnotationStatus, Origin, Shape, ShapeKind
from pipeline.catalog import Catalog
from pipeline.storage import ObjectStore, put_json

HERE, THERE = "http://127.0.0.1:8080#3", "http://127.0.0.1:8080#4"
NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
BOXES = tuple(
    Shape(label=label, kind=ShapeKind.BOX, points=((0, 0), (9, 9)))
    for label in ("car", "bus", "car")
)


def revise(
    annotation: str = "5", at_s: float = 0, revision: str = "", **others: object
) -> Annotation:
    at = NOW + timedelta(seconds=at_s)
    origin = {"project": HERE, "task": 11, "annotation": annotation}
    origin |= {name: others.pop(name) for name in ("project", "task") if name in others}
    values = {
        "image": "a-1",
        "revision": revision or _name(at, origin),
        "status": AnnotationStatus.LABELLED,
        "author": "ann@example.com",
        "created_at": NOW,
        "updated_at": at,
        "width": 640,
        "height": 480,
        "shapes": BOXES,
        "origin": Origin.model_validate(origin),
    }
    return Annotation.model_validate(values | others)


def _name(at: datetime, origin: dict[str, object]) -> str:
    """Different for every annotation, as a real one's hash is."""
    told_apart = zlib.crc32(f"{origin['project']} {origin['annotation']}".encode())
    return f"{at:%Y%m%dT%H%M%S%fZ}-{told_apart:08x}"


def say(catalog: Catalog, store: ObjectStore, annotation: Annotation) -> Annotation:
    """The object first, then its row."""
    key = keys.annotation(annotation.image, annotation.revision)
    put_json(store, key, annotation.model_dump_json())
    catalog.annotations.record(annotation)
    return annotation
