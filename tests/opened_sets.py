"""Sets of labels opened by the tools people use, as boxes in pixels by the image's name."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import supervision
from pycocotools.coco import COCO  # type: ignore[import-untyped]

from pipeline.annotations import CLASSES, Shape

Box = tuple[str, float, float, float, float]  # the label, then x1, y1, x2, y2 in pixels
Boxes = Sequence[Box]


def open_yolo(out: Path, *, is_obb: bool = False) -> dict[str, Any]:
    """supervision's detections."""
    opened = supervision.DetectionDataset.from_yolo(
        str(out / "images"), str(out / "labels"), str(out / "data.yaml"), is_obb=is_obb
    )
    assert opened.classes == list(CLASSES)
    return {Path(path).stem: opened.annotations[path] for path in opened.image_paths}


def read_yolo(out: Path) -> dict[str, Boxes]:
    return {image: _list(found, CLASSES) for image, found in open_yolo(out).items()}


def read_voc(out: Path) -> dict[str, Boxes]:
    folders = (str(out / "JPEGImages"), str(out / "Annotations"))
    return _read(supervision.DetectionDataset.from_pascal_voc(*folders))


def read_coco(out: Path) -> dict[str, Boxes]:
    places = (str(out / "images"), str(out / "annotations.json"))
    return _read(supervision.DetectionDataset.from_coco(*places))


def open_coco(out: Path) -> COCO:
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(out / "annotations.json"))


def list_coco(coco: COCO) -> dict[str, Boxes]:
    """As pycocotools has them."""
    return {
        Path(image["file_name"]).stem: [
            _place_coco(coco, one) for one in coco.loadAnns(coco.getAnnIds(image["id"]))
        ]
        for image in coco.dataset["images"]
    }


def box_of(shape: Shape, size: tuple[int, int]) -> Boxes:
    """The one around a shape that has one and is of a class of ours, within the image."""
    if shape.label not in CLASSES or len(shape.points) < 2:
        return []
    across, down = zip(*shape.points, strict=True)
    first = (max(min(across), 0), max(min(down), 0))
    return [(shape.label, *first, min(max(across), size[0]), min(max(down), size[1]))]


def name_theirs(address: str) -> str:
    """What Label Studio calls the label file of an image at an address."""
    digest = hashlib.md5(address.encode(), usedforsecurity=False).hexdigest()[:8]
    name = address.partition("?")[0].rpartition("/")[2]
    return f"{digest}__{name.rpartition('.')[0]}"


def classes_of(files: Mapping[str, bytes]) -> dict[int, str]:
    """Of Label Studio's YOLO export; of two with one id, the last."""
    return {one["id"]: one["name"] for one in json.loads(files["notes.json"])["categories"]}


def read_theirs(
    files: Mapping[str, bytes], addresses: Mapping[str, str], size: tuple[int, int]
) -> dict[str, Boxes]:
    """Of Label Studio's YOLO export those that have a file; in whole pixels. `addresses` of the
    images, by what they are to be called."""
    classes = classes_of(files)
    found: dict[str, Boxes] = {}
    for name, address in addresses.items():
        file = files.get(f"labels/{name_theirs(address)}.txt")
        if file is not None:
            lines = [line.split() for line in file.decode().splitlines()]
            found[name] = [_place(classes[int(line[0])], line[1:], size) for line in lines]
    return found


def _read(opened: Any) -> dict[str, Boxes]:
    return {
        Path(path).stem: _list(opened.annotations[path], opened.classes)
        for path in opened.image_paths
    }


def _list(found: Any, classes: Sequence[str]) -> Boxes:
    numbers = zip(found.class_id, found.xyxy.tolist(), strict=True)
    return [(classes[number], *sides) for number, sides in numbers]


def _place_coco(coco: COCO, one: Mapping[str, Any]) -> Box:
    x, y, width, height = one["bbox"]
    [category] = coco.loadCats(one["category_id"])
    return (category["name"], x, y, x + width, y + height)


def _place(label: str, numbers: Sequence[str], size: tuple[int, int]) -> Box:
    """A polygon's sides are all 0."""
    if len(numbers) != 4:
        return (label, 0, 0, 0, 0)
    x, y, width, height = (float(number) for number in numbers)
    x1, x2 = ((x + side * width / 2) * size[0] for side in (-1, 1))
    y1, y2 = ((y + side * height / 2) * size[1] for side in (-1, 1))
    return (label, round(x1), round(y1), round(x2), round(y2))
