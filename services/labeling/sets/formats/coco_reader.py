"""A COCO document, with or without its images."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from pipeline.annotations import Shape, ShapeKind
from pipeline.errors import UserError
from services.labeling.sets.formats.documents import find_mappings, finite_numbers, read_document
from services.labeling.sets.formats.packages import Package
from services.labeling.sets.formats.pictures import find_picture, index_pictures, strip_ending
from services.labeling.sets.formats.vocabulary import FoundLabels

_Item = Mapping[str, Any]


def read_coco(package: Package) -> Iterator[FoundLabels]:
    """What each document says of each image. UserError when there is none."""
    names = find_documents(package)
    if not names:
        raise UserError("there is no COCO document in it: a JSON with images and annotations")
    for name in names:
        yield from _Document(package, name).read()


def find_documents(package: Package) -> list[str]:
    ours = {"manifest.json", "report.json", "notes.json"}
    return [
        name
        for name in package.names
        if name.lower().endswith(".json") and PurePosixPath(name).name not in ours
    ]


class _Document:
    def __init__(self, package: Package, name: str) -> None:
        document = read_document(package, name)
        if not isinstance(document, Mapping) or not isinstance(document.get("images"), list):
            raise UserError(f"{name} is no COCO document: it has no list of images")
        self._name = name
        self._images = find_mappings(document, "images")
        self._lost = len(document["images"]) - len(self._images)
        self._labels = _read_categories(name, find_mappings(document, "categories"))
        self._shapes: defaultdict[Hashable, list[_Item]] = defaultdict(list)
        for item in find_mappings(document, "annotations"):
            self._shapes[_key(item.get("image_id"))].append(item)
        self._pictures = index_pictures(package)
        self._modified_at = package.modified_at(name)

    def read(self) -> Iterator[FoundLabels]:
        ids = [_key(image.get("id")) for image in self._images]
        times = Counter(ids)
        for image, key in zip(self._images, ids, strict=True):
            yield self._read_image(image, key, is_twice=times[key] > 1)
        stray = sum(len(items) for key, items in self._shapes.items() if key not in times)
        if stray or self._lost:
            what = f"{stray} annotations of images it does not list, {self._lost} broken images"
            yield FoundLabels(file=self._name, name="", problems=(what,))

    def _read_image(self, image: _Item, key: Hashable, *, is_twice: bool) -> FoundLabels:
        name = str(image.get("file_name", ""))[:1000]
        where = f"{self._name}: {name}"
        if is_twice:
            problem = f"several images have the id {key}"
            return FoundLabels(file=where, name=name, problems=(problem,))
        size = finite_numbers([image.get("width"), image.get("height")])
        shapes, scores, problems = [], [], []
        for item in self._shapes.get(key, []):
            try:
                shapes.append(_read_shape(item, self._labels))
                scores.append(_read_score(item))
            except ValueError as error:
                problems.append(f"annotation {str(item.get('id'))[:20]}: {error}")
        return FoundLabels(
            file=where,
            name=name,
            shapes=tuple(shapes),
            scores=tuple(scores),
            size=(size[0], size[1]) if size and min(size) > 0 else None,
            problems=tuple(problems),
            modified_at=self._modified_at,
            picture=find_picture(self._pictures, strip_ending(PurePosixPath(name).name)),
        )


def _read_categories(name: str, categories: Sequence[_Item]) -> Mapping[Hashable, str]:
    labels: dict[Hashable, str] = {}
    for category in categories:
        key = _key(category.get("id"))
        if key in labels:
            raise UserError(f"{name} gives two categories the id {key}")
        labels[key] = str(category.get("name", ""))
    return labels


def _key(value: object) -> Hashable:
    """Ids are numbers, or texts; True is not 1."""
    return value if isinstance(value, str | int) and not isinstance(value, bool) else None


def _read_shape(item: _Item, labels: Mapping[Hashable, str]) -> Shape:
    """A polygon of one part stays one; masks and polygons of several parts are their boxes."""
    label = labels.get(_key(item.get("category_id")))
    if not label:
        raise ValueError(f"no category has the id {str(item.get('category_id'))[:20]}")
    parts = item.get("segmentation")
    if isinstance(parts, list) and len(parts) == 1:
        numbers = finite_numbers(parts[0], at_least=6)
        if numbers is None or len(numbers) % 2:
            raise ValueError("its segmentation is no polygon")
        points = tuple(zip(numbers[::2], numbers[1::2], strict=True))
        return Shape(label=label, kind=ShapeKind.POLYGON, points=points)
    box = finite_numbers(item.get("bbox"))
    if box is None or len(box) != 4:
        raise ValueError("its bbox is not four finite numbers")
    x, y, width, height = box
    if width <= 0 or height <= 0:
        raise ValueError(f"its size is {width:g} by {height:g}")
    return Shape(label=label, kind=ShapeKind.BOX, points=((x, y), (x + width, y + height)))


def _read_score(item: _Item) -> float | None:
    score = finite_numbers([item.get("score")])
    return score[0] if score else None
