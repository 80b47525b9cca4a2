"""COCO's layout: images/ and one annotations.json.

Categories are numbered from 1, as COCO's own are: a class's pinned id plus one. A box is x, y,
width, height in pixels; polygons and the corners of rotated boxes are in `segmentation`. An image
in which nothing is to be found is listed, without annotations.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from pipeline.annotations import ShapeKind
from pipeline.labels.geometry import polygon_area
from services.labeling.sets.formats.fitting import corners_of
from services.labeling.sets.formats.sinks import Listing, Sink
from services.labeling.sets.formats.vocabulary import Entry, PlacedShape

FILE = "annotations.json"


class CocoWriter:
    images = "images"

    def __init__(self, sink: Sink, classes: Sequence[str]) -> None:
        self._sink = sink
        self._classes = classes
        self._listed = Listing(sink)
        self._shapes = Listing(sink)
        self._licences: dict[str, int] = {}
        self._image_count = 0
        self._shape_count = 0

    def add(self, entry: Entry) -> None:
        self._image_count += 1
        known = entry.known.provenance
        self._listed.add(
            {
                "id": self._image_count,
                "file_name": entry.file_name,
                "width": entry.annotation.width,
                "height": entry.annotation.height,
                "date_captured": known.captured_at.isoformat(),
                "license": self._licences.setdefault(known.licence, len(self._licences) + 1),
            }
        )
        for shape in entry.shapes:
            self._shape_count += 1
            numbered = {"id": self._shape_count, "image_id": self._image_count}
            self._shapes.add(numbered | _describe(shape))

    def finish(self) -> str:
        self._sink.write_chunks(FILE, self._chunks())
        return ""

    def _chunks(self) -> Iterator[bytes]:
        categories = [
            {"id": number, "name": name, "supercategory": ""}
            for number, name in enumerate(self._classes, start=1)
        ]
        licences = [{"id": n, "name": name, "url": ""} for name, n in self._licences.items()]
        head = {"info": {"description": "Traboule"}, "licenses": licences, "categories": categories}
        yield json.dumps(head, ensure_ascii=False).encode().removesuffix(b"}")
        yield b',\n"images": '
        yield from self._listed.chunks()
        yield b',\n"annotations": '
        yield from self._shapes.chunks()
        yield b"}\n"


def _describe(shape: PlacedShape) -> dict[str, Any]:
    box = shape.bounds
    sides = (box.x2 - box.x1, box.y2 - box.y1)
    is_box = shape.kind is ShapeKind.BOX
    corners = corners_of(shape)
    return {
        "category_id": shape.class_id + 1,
        "bbox": [_round(part) for part in (box.x1, box.y1, *sides)],
        "area": _round(sides[0] * sides[1] if is_box else polygon_area(corners)),
        "segmentation": [] if is_box else [[_round(part) for point in corners for part in point]],
        "iscrowd": 0,
    }


def _round(number: float) -> float:
    return round(number, 3)
