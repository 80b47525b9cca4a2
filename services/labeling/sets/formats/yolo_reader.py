"""A YOLO set: label files beside the names of its classes, with or without images.

The names of the classes: as asked for, else data.yaml, else Label Studio's notes.json (in its
classes.txt a line's number need not be the class's id), else classes.txt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath

import yaml

from pipeline.annotations import Shape
from pipeline.errors import UserError
from services.labeling.sets.formats.notes import MAX_CLASSES, NOTES, read_notes
from services.labeling.sets.formats.packages import MAX_TEXT_BYTES, Package
from services.labeling.sets.formats.pictures import find_picture, index_pictures
from services.labeling.sets.formats.vocabulary import FoundLabels
from services.labeling.sets.formats.yolo_lines import BadLine, parse_line

MAX_SHAPES = 20_000  # of one image
_NO_LABELS = {"classes.txt", "train.txt", "val.txt", "test.txt", "report.txt", "obj.names"}


Read = Callable[[bytes], Mapping[int, str]]


def read_yolo(package: Package, classes: Sequence[str], *, rotated: bool) -> Iterator[FoundLabels]:
    """What each label file says. UserError when the classes have no names."""
    named = dict(enumerate(classes)) if classes else read_classes(package)
    pictures = index_pictures(package)
    for name in find_label_files(package):
        shapes, scores, problems = _read_file(package, name, named, rotated)
        yield FoundLabels(
            file=name,
            name=PurePosixPath(name).stem,
            shapes=tuple(shapes),
            scores=tuple(scores),
            size=(1.0, 1.0),
            problems=tuple(problems),
            modified_at=package.modified_at(name),
            picture=find_picture(pictures, PurePosixPath(name).stem),
        )


def find_label_files(package: Package) -> list[str]:
    """Those in folders called `labels`, where there are any: other texts may lie about."""
    texts = [
        name
        for name in package.names
        if name.lower().endswith(".txt") and PurePosixPath(name).name not in _NO_LABELS
    ]
    labels = [name for name in texts if "labels" in PurePosixPath(name).parts[:-1]]
    return labels or texts


def read_classes(package: Package) -> Mapping[int, str]:
    """By their ids. UserError when none are named, or two share an id."""
    readers = {
        "data.yaml": _read_yaml,
        "data.yml": _read_yaml,
        NOTES: read_notes,
        "classes.txt": _read_list,
    }
    for file, read in readers.items():
        found = [name for name in package.names if PurePosixPath(name).name == file]
        if len(found) > 1:
            raise UserError(f"it has {len(found)} files called {file}: which names the classes?")
        if found:
            return _read_with(package, found[0], read)
    raise UserError("nothing names its classes: no data.yaml, notes.json or classes.txt in it")


def _read_with(package: Package, name: str, read: Read) -> Mapping[int, str]:
    try:
        return read(package.read(name, MAX_TEXT_BYTES))
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        reason = str(error).replace("\n", " ")[:200]
        raise UserError(f"{name} does not name its classes: {reason}") from error


def _read_yaml(data: bytes) -> Mapping[int, str]:
    """`names` as a list, or as a mapping from ids. Tags of Python's objects are refused."""
    known = yaml.load(data, _PlainLoader)
    names = known.get("names") if isinstance(known, dict) else None
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not 0 < len(names) <= MAX_CLASSES:
        raise ValueError("it has no `names`")
    classes = {int(number): str(name) for number, name in names.items()}
    if len(classes) != len(names) or any(isinstance(n, dict | list) for n in names.values()):
        raise ValueError("`names` gives an id twice, or no name")
    return classes


class _PlainLoader(yaml.SafeLoader):
    """Without aliases, with which a few lines become gigabytes."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are refused")
        node: yaml.Node | None = super().compose_node(parent, index)
        return node


def _read_list(data: bytes) -> Mapping[int, str]:
    lines = [line.strip() for line in data.decode("utf-8-sig").splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    if not lines or len(lines) > MAX_CLASSES or not all(lines):
        raise ValueError("it is empty, or has an empty line")
    return dict(enumerate(lines))


def _read_file(
    package: Package, name: str, classes: Mapping[int, str], rotated: bool
) -> tuple[list[Shape], list[float | None], list[str]]:
    shapes: list[Shape] = []
    scores: list[float | None] = []
    problems: list[str] = []
    try:
        text = package.read(name, MAX_TEXT_BYTES).decode("utf-8-sig")
    except ValueError as error:  # too large, broken, not UTF-8
        return shapes, scores, [str(error)]
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        if len(shapes) >= MAX_SHAPES:
            problems.append(f"more than {MAX_SHAPES} shapes; the rest is left out")
            break
        try:
            shape, score = parse_line(line, classes, rotated=rotated)
        except BadLine as error:
            problems.append(f"line {number}: {error}")
            continue
        shapes.append(shape)
        scores.append(score)
    return shapes, scores, problems
