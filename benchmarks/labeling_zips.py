"""What is in a YOLO set as a zip, ours or Label Studio's, by image."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from zipfile import ZipFile

import yaml

TOLERANCE = 1e-4  # of an image's width: percents and pixels are rounded in their own ways

Box = tuple[str, tuple[float, ...]]  # its class; centre and size, as parts of the image's


@dataclass(frozen=True)
class Labelled:
    """`images`: the SHA-256 of each."""

    images: Mapping[str, str]
    boxes: Mapping[str, list[Box]]

    def agrees_with(self, other: Labelled) -> bool:
        return self.boxes.keys() == other.boxes.keys() and all(
            len(boxes) == len(other.boxes[image]) and all(map(_is_same, boxes, other.boxes[image]))
            for image, boxes in self.boxes.items()
        )


def read_ours(path: Path) -> Labelled:
    with ZipFile(path) as archive:
        names = yaml.safe_load(archive.read("data.yaml"))["names"]
        return _read(archive, dict(names if isinstance(names, dict) else enumerate(names)), str)


def read_theirs(path: Path) -> Labelled:
    """Its names are the image's with eight digits before them."""
    with ZipFile(path) as archive:
        notes = json.loads(archive.read("notes.json"))
        names = {entry["id"]: entry["name"] for entry in notes["categories"]}
        return _read(archive, names, lambda stem: re.sub(r"^[0-9a-f]{8}(__|-)", "", stem))


def _read(archive: ZipFile, names: Mapping[int, str], image_of: Callable[[str], str]) -> Labelled:
    images: dict[str, str] = {}
    boxes: dict[str, list[Box]] = {}
    for name in archive.namelist():
        path = PurePosixPath(name)
        if path.parts[0] == "images" and path.suffix:
            images[image_of(path.stem)] = hashlib.sha256(archive.read(name)).hexdigest()
        elif path.parts[0] == "labels" and path.suffix == ".txt":
            lines = archive.read(name).decode().splitlines()
            boxes[image_of(path.stem)] = sorted(_read_lines(lines, names), key=_order)
    return Labelled(images, boxes)


def _read_lines(lines: list[str], names: Mapping[int, str]) -> Iterator[Box]:
    for line in lines:
        number, *numbers = line.split()
        yield names[int(number)], tuple(map(float, numbers))


def _order(box: Box) -> tuple[str, list[float]]:
    return box[0], [round(number, 2) for number in box[1]]


def _is_same(one: Box, other: Box) -> bool:
    return one[0] == other[0] and all(
        abs(a - b) <= TOLERANCE for a, b in zip(one[1], other[1], strict=True)
    )
