"""YOLO labels exported by hand from Label Studio: a folder or a zip, read within bounds."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from pipeline.errors import UserError
from services.labeling.sets.formats.notes import NOTES, read_notes
from services.labeling.sets.formats.packages import MAX_TEXT_BYTES, MEBIBYTE, Package, open_package

MAX_BYTES = 512 * MEBIBYTE  # of all label files, which are held in memory
LIST_OF_CLASSES, FOLDER = "classes.txt", "labels"


@dataclass(frozen=True)
class LabelFile:
    """`stem` is its name without `.txt`; `path` where it lies in the folder or zip."""

    stem: str
    path: str
    data: bytes = field(repr=False)


@dataclass(frozen=True)
class LabelSet:
    """`classes` by their ids; None where there was no notes.json to name them."""

    files: tuple[LabelFile, ...]
    classes: Mapping[int, str] | None
    problems: tuple[str, ...] = ()


def read_labels(labels: Path, *, may_be_empty: bool = False) -> LabelSet:
    """The label files of a folder or zip, in order of their paths. UserError for what is neither,
    is broken or too much, or names two classes by one id; `may_be_empty`: with notes.json alone."""
    if not labels.exists():
        raise UserError(f"there is no {labels}")
    if labels.is_file() and not zipfile.is_zipfile(labels):
        raise UserError(f"{labels} is not a zip, or broken")
    with open_package(labels) as package:
        contents = dict(_read(labels, package))
        problems = [f"{one.file!r} is not read: {one.reason}" for one in package.refused]
    notes = [data for path, data in contents.items() if path.name == NOTES]
    texts = {path: data for path, data in contents.items() if path.name != NOTES}
    if any(FOLDER in path.parts[:-1] for path in texts):  # other text files are not labels
        texts = {path: data for path, data in texts.items() if FOLDER in path.parts[:-1]}
    if not texts and not (notes and may_be_empty):
        raise UserError(f"{labels} holds no label files: a YOLO export has labels/….txt")
    files = [LabelFile(path.name[:-4], str(path), data) for path, data in sorted(texts.items())]
    good = tuple(file for file in files if file.path.isprintable())
    bad = [file.path for file in files if not file.path.isprintable()]
    problems += [f"{path!r} is no name for a file" for path in bad]
    return LabelSet(good, _agree_on_classes([*notes, *_find_notes_beside(labels)]), tuple(problems))


def _read(labels: Path, package: Package) -> Iterator[tuple[PurePosixPath, bytes]]:
    read_bytes = 0
    for name in filter(_is_wanted, package.names):
        data = _read_one(labels, package, name)
        read_bytes += len(data)
        if read_bytes > MAX_BYTES:
            raise UserError(f"the label files in {labels} are too large together")
        yield PurePosixPath(name), data


def _read_one(labels: Path, package: Package, name: str) -> bytes:
    try:
        return package.read(name, MAX_TEXT_BYTES)
    except ValueError as error:
        raise UserError(f"{name} in {labels} cannot be read: {error}") from error


def _is_wanted(name: str) -> bool:
    path = PurePosixPath(name)
    if any(part.startswith(".") for part in path.parts):
        return False
    return path.name == NOTES or (
        path.name.lower().endswith(".txt") and path.name != LIST_OF_CLASSES
    )


def _find_notes_beside(labels: Path) -> Iterator[bytes]:
    """An export's notes.json lies beside its folder `labels`."""
    beside = labels.resolve().parent / NOTES
    if labels.is_dir() and labels.resolve().name == FOLDER and beside.is_file():
        with open_package(beside) as package:
            yield _read_one(beside.parent, package, NOTES)


def _agree_on_classes(notes: Iterable[bytes]) -> Mapping[int, str] | None:
    found = [read_notes(data) for data in notes]
    if any(classes != found[0] for classes in found):
        raise UserError(f"several {NOTES} name different classes: fetch one export at a time")
    return found[0] if found else None
