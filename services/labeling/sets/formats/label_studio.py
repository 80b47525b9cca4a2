"""Label Studio's own JSON: tasks.json, which its import takes, the labeling interface,
and the images beside it.

What came from a Label Studio goes back as it was received, brush strokes included, but for what its
own page and exports break on; the rest is written from its shapes. Authors are named in the task's
data: an import refuses a person whom its server does not know. `data.image` is where the server
finds the image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from pipeline import keys
from pipeline.annotations import Annotation, ShapeKind
from pipeline.labels.geometry import (
    Size,
    box_to_percent,
    corners_to_percent,
    point_to_percent,
)
from pipeline.labels.interface import CONTROL, OBJECT, write_interface
from services.labeling.receiving.outlines import FORMS
from services.labeling.receiving.shapes import Problems, Region, read_shapes
from services.labeling.sets.formats.sinks import Listing, Sink
from services.labeling.sets.formats.vocabulary import Entry, PlacedShape
from services.labeling.studio.protocol import IMAGE_ID

FILE = "tasks.json"
INTERFACE = "interface.xml"
_NAMES = {"from_name": CONTROL, "to_name": OBJECT}
_TYPES = {
    ShapeKind.BOX: "rectanglelabels",
    ShapeKind.ROTATED_BOX: "rectanglelabels",
    ShapeKind.POLYGON: "polygonlabels",
}


class LabelStudioWriter:
    """`address` may hold {key} (of the image in the object store, whose first part is its bucket)
    and {image} (its id)."""

    images = "images"

    def __init__(self, sink: Sink, classes: Sequence[str], address: str) -> None:
        self._sink = sink
        self._classes = classes
        self._address = address
        self._tasks = Listing(sink)
        self._count = 0

    def add(self, entry: Entry) -> None:
        self._count += 1
        image = self._address.replace("{key}", keys.stored_image(entry.image))
        annotation = entry.annotation
        data = {
            "image": image.replace("{image}", entry.image),
            IMAGE_ID: entry.image,
            "author": annotation.author,
            "revision": annotation.revision,
        }
        self._tasks.add(
            {"data": data, "annotations": [_describe(entry, self._count)], "predictions": []}
        )

    def finish(self) -> str:
        self._sink.write_chunks(FILE, self._tasks.chunks())
        self._sink.write(INTERFACE, write_interface(self._classes).encode())
        return ""


def _describe(entry: Entry, number: int) -> dict[str, Any]:
    """As in an export of its own. The server that takes it in gives it a number of its own."""
    annotation = entry.annotation
    return {
        "id": number,
        "created_at": annotation.created_at.isoformat(),
        "updated_at": annotation.updated_at.isoformat(),
        "result": list(received_regions(annotation)) or write_regions(entry.shapes, annotation),
        "was_cancelled": False,
        "ground_truth": annotation.ground_truth,
        "lead_time": annotation.lead_time_s,
    }


def received_regions(annotation: Annotation) -> Sequence[Mapping[str, Any]]:
    """As they came, but what has neither a type nor a value, on which its page breaks, and outlines
    that cannot be drawn: one fails every export of the project they are in."""
    return [
        _mend(region, annotation) if _is_outline(region["type"]) else region
        for region in annotation.result
        if isinstance(region.get("type"), str)
        and isinstance(region.get("value"), dict)
        and _can_be_drawn(region, annotation)
    ]


def _is_outline(kind: object) -> bool:
    """With its labels: not a choice, nor an outline whose labels stand elsewhere."""
    bare = str(kind).removesuffix("labels")
    return bare != kind and bare in FORMS


def _can_be_drawn(region: Region, annotation: Annotation) -> bool:
    if not _is_outline(region["type"]):
        return True
    return bool(read_shapes([region], annotation.width, annotation.height, Problems()))


def _mend(region: Region, annotation: Annotation) -> Mapping[str, Any]:
    """With the picture's size, and an angle, where it has none that is one."""
    mended: dict[str, Any] = dict(region)
    sides = {"original_width": annotation.width, "original_height": annotation.height}
    if not all(_is_length(region.get(name)) for name in sides):
        mended |= sides
    if mended["value"].get("rotation", 0) is None:
        mended["value"] = {**mended["value"], "rotation": 0}
    return mended


def _is_length(given: object) -> bool:
    return isinstance(given, int | float) and not isinstance(given, bool) and given >= 1


def write_regions(shapes: Sequence[PlacedShape], annotation: Annotation) -> list[dict[str, Any]]:
    size = Size(annotation.width, annotation.height)
    return [
        write_region(f"{annotation.revision[-8:]}-{number}", shape, size)
        for number, shape in enumerate(shapes)
    ]


def write_region(region_id: str, shape: PlacedShape, size: Size) -> dict[str, Any]:
    """One region of a `result`; `size` is the image's, in pixels."""
    kind = _TYPES[shape.kind]
    return {
        **_NAMES,
        "id": region_id,
        "type": kind,
        "original_width": size.width,
        "original_height": size.height,
        "image_rotation": 0,
        "value": {**_measure(shape, size), kind: [shape.label]},
    }


def _measure(shape: PlacedShape, size: Size) -> dict[str, Any]:
    if shape.kind is ShapeKind.POLYGON:
        points = [list(point_to_percent(point, size)) for point in shape.points]
        return {"points": points, "closed": True}
    if shape.kind is ShapeKind.ROTATED_BOX:
        return asdict(corners_to_percent(shape.points, size))
    return asdict(box_to_percent(shape.bounds, size))
