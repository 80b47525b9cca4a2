"""YOLO's layout: images/, labels/ with one text per image, lists of both sides, and data.yaml.

A line is `class x y width height` in fractions of the image, x and y of the box's middle; with
rotation (`yolo-obb`) it is `class` and four corners. data.yaml has no `path`: `yolo` then takes the
file's own folder, wherever that is. An image in which nothing is to be found has an empty text.
"""

from __future__ import annotations

from collections.abc import Sequence

import yaml

from services.labeling.sets.formats.fitting import corners_of
from services.labeling.sets.formats.sinks import Sink
from services.labeling.sets.formats.splits import list_files, split_images
from services.labeling.sets.formats.vocabulary import Entry, PlacedShape

_DIGITS = 7  # below a thousandth of a pixel, up to 10,000 pixels


class YoloWriter:
    images = "images"

    def __init__(self, sink: Sink, classes: Sequence[str], val: float, *, rotated: bool) -> None:
        self._sink = sink
        self._classes = classes
        self._val = val
        self._rotated = rotated
        self._written: list[str] = []

    def add(self, entry: Entry) -> None:
        write_line = _write_corners if self._rotated else _write_box
        size = (entry.annotation.width, entry.annotation.height)
        lines = "".join(write_line(shape, size) for shape in entry.shapes)
        self._sink.write(f"labels/{entry.image}.txt", lines.encode())
        self._written.append(entry.image)

    def finish(self) -> str:
        split = split_images(self._written, self._val)
        self._sink.write("train.txt", list_files(self.images, split.train))
        self._sink.write("val.txt", list_files(self.images, split.val))
        self._sink.write("classes.txt", "".join(f"{name}\n" for name in self._classes).encode())
        self._sink.write("data.yaml", self._describe(split.note))
        return split.note

    def _describe(self, note: str) -> bytes:
        known = {
            "train": "train.txt",
            "val": "val.txt",
            "names": dict(enumerate(self._classes)),
        }
        text = yaml.safe_dump(known, sort_keys=False, allow_unicode=True)
        return f"# {note}\n{text}".encode()


def _write_box(shape: PlacedShape, size: tuple[int, int]) -> str:
    box, (width, height) = shape.bounds, size
    middle = ((box.x1 + box.x2) / 2 / width, (box.y1 + box.y2) / 2 / height)
    extent = ((box.x2 - box.x1) / width, (box.y2 - box.y1) / height)
    return _write(shape.class_id, (*middle, *extent))


def _write_corners(shape: PlacedShape, size: tuple[int, int]) -> str:
    width, height = size
    numbers = [part for x, y in corners_of(shape) for part in (x / width, y / height)]
    return _write(shape.class_id, numbers)


def _write(class_id: int, numbers: Sequence[float]) -> str:
    return f"{class_id} {' '.join(f'{number:.{_DIGITS}f}' for number in numbers)}\n"
