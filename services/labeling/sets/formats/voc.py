"""Pascal VOC's layout: JPEGImages/, Annotations/ with one XML per image, ImageSets/Main/.

Its numbers are whole pixels counted from 1, both ends included, as its development kit has them:
a box from 0 to 10 is written 1 and 10. Rounding costs half a pixel at most.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from pipeline.records import BoundingBox
from services.labeling.sets.formats.sinks import Sink
from services.labeling.sets.formats.splits import split_images
from services.labeling.sets.formats.vocabulary import Entry


class VocWriter:
    images = "JPEGImages"

    def __init__(self, sink: Sink, classes: Sequence[str], val: float) -> None:
        self._sink = sink
        self._classes = classes
        self._val = val
        self._written: list[str] = []

    def add(self, entry: Entry) -> None:
        self._sink.write(f"Annotations/{entry.image}.xml", _describe(entry))
        self._written.append(entry.image)

    def finish(self) -> str:
        split = split_images(self._written, self._val)
        lists = {"trainval": self._written, "train": split.train, "val": split.val}
        for name, images in lists.items():
            text = "".join(f"{image}\n" for image in images)
            self._sink.write(f"ImageSets/Main/{name}.txt", text.encode())
        self._sink.write("classes.txt", "".join(f"{name}\n" for name in self._classes).encode())
        return split.note


def _describe(entry: Entry) -> bytes:
    root = Element("annotation")
    _add_texts(root, {"folder": VocWriter.images, "filename": entry.file_name})
    _add_texts(SubElement(root, "source"), {"database": entry.known.provenance.source})
    size = {"width": entry.annotation.width, "height": entry.annotation.height, "depth": 3}
    _add_texts(SubElement(root, "size"), size)
    _add_texts(root, {"segmented": 0})
    for shape in entry.shapes:
        found = SubElement(root, "object")
        _add_texts(
            found, {"name": shape.label, "pose": "Unspecified", "truncated": 0, "difficult": 0}
        )
        _add_texts(SubElement(found, "bndbox"), count_pixels(shape.bounds))
    indent(root)
    text: bytes = tostring(root, encoding="utf-8")
    return text


def count_pixels(box: BoundingBox) -> dict[str, int]:
    """The first and last pixel of a box, counted from 1; at least one pixel."""
    first = (round(box.x1) + 1, round(box.y1) + 1)
    return {
        "xmin": first[0],
        "ymin": first[1],
        "xmax": max(round(box.x2), first[0]),
        "ymax": max(round(box.y2), first[1]),
    }


def _add_texts(parent: Element, texts: Mapping[str, object]) -> None:
    for name, value in texts.items():
        SubElement(parent, name).text = str(value)
