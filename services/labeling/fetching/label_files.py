"""YOLO labels exported by hand from Label Studio: a folder or a zip, read within bounds.

Nothing of a zip is unpacked: only its label files and notes.json are read, in memory.
"""

from __future__ import annotations

import json
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from pipeline.errors import UserError

MEBIBYTE = 2**20
MAX_FILES = 500_000  # of any kind in a zip or folder
MAX_FILE_BYTES = 4 * MEBIBYTE
MAX_BYTES = 512 * MEBIBYTE  # of all label files
MAX_CLASSES = 10_000
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
NOTES, LIST_OF_CLASSES, FOLDER = "notes.json", "classes.txt", "labels"


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


def read_labels(labels: Path) -> LabelSet:
    """The label files of a folder or zip, in order of their paths. UserError for what is neither,
    is too much, leaves its folder, or names two classes by one id."""
    try:
        contents = dict(_read_zip(labels) if labels.is_file() else _read_folder(labels))
    except OSError as error:
        raise UserError(f"cannot read {labels}: {error.strerror or error}") from error
    notes = {path: data for path, data in contents.items() if path.name == NOTES}
    texts = {path: data for path, data in contents.items() if path.name != NOTES}
    if any(FOLDER in path.parts[:-1] for path in texts):  # other text files are not labels
        texts = {path: data for path, data in texts.items() if FOLDER in path.parts[:-1]}
    if not texts:
        raise UserError(f"{labels} holds no label files: a YOLO export has labels/….txt")
    files = [LabelFile(path.name[:-4], str(path), data) for path, data in sorted(texts.items())]
    good, problems = _refuse_names(files)
    return LabelSet(good, _agree_on_classes(notes), problems)


def read_notes(data: bytes) -> Mapping[int, str]:
    """The classes that Label Studio's notes.json names, by id. UserError for anything else.

    Not classes.txt: a line's number there need not be the class's id.
    """
    try:
        categories = json.loads(data)["categories"]
        named = [(entry["id"], entry["name"]) for entry in categories]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise UserError(f"{NOTES} is not the one of a Label Studio export") from None
    classes: dict[int, str] = {}
    for number, name in named:
        if type(number) is not int or not 0 <= number < MAX_CLASSES or not isinstance(name, str):
            raise UserError(f"{NOTES} has a class without a usable id or name")
        if number in classes:
            raise UserError(
                f"{NOTES} gives {classes[number]!r} and {name!r} the same id {number}: their boxes "
                "cannot be told apart. Give the labels categories of their own, and export again"
            )
        classes[number] = name
    return classes


def _agree_on_classes(notes: Mapping[PurePosixPath, bytes]) -> Mapping[int, str] | None:
    found = [read_notes(data) for data in notes.values()]
    if any(classes != found[0] for classes in found):
        raise UserError(f"several {NOTES} name different classes: fetch one export at a time")
    return found[0] if found else None


def _refuse_names(files: Iterable[LabelFile]) -> tuple[tuple[LabelFile, ...], tuple[str, ...]]:
    good, problems = [], []
    for file in files:
        if file.stem and file.path.isprintable():
            good.append(file)
        else:
            problems.append(f"{file.path!r} is no name for a file")
    return tuple(good), tuple(problems)


class _Budget:
    """Counts what is read; UserError where it is too much."""

    def __init__(self, labels: Path) -> None:
        self._labels, self._files, self._bytes = labels, 0, 0

    def count_file(self) -> None:
        self._files += 1
        if self._files > MAX_FILES:
            raise UserError(f"{self._labels} holds more than {MAX_FILES:,} files")

    def count(self, path: PurePosixPath, data: bytes) -> bytes:
        self._bytes += len(data)
        if len(data) > MAX_FILE_BYTES:
            raise UserError(f"{path} in {self._labels} is too large for a label file")
        if self._bytes > MAX_BYTES:
            raise UserError(f"the label files in {self._labels} are too large together")
        return data


def _is_wanted(path: PurePosixPath) -> bool:
    if any(part.startswith(".") or part == "__MACOSX" for part in path.parts):
        return False
    name = path.name
    return name == NOTES or (name.lower().endswith(".txt") and name != LIST_OF_CLASSES)


def _read_folder(folder: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Links are not followed. notes.json may lie beside a folder `labels`, as it is exported."""
    budget = _Budget(folder)
    if not folder.is_dir():
        raise UserError(f"{folder} is neither a folder nor a zip")
    beside = folder.resolve().parent / NOTES
    if folder.resolve().name == FOLDER and beside.is_file():
        yield PurePosixPath("..", NOTES), budget.count(PurePosixPath(NOTES), _head(beside))
    for path in folder.rglob("*"):
        budget.count_file()
        name = PurePosixPath(path.relative_to(folder).as_posix())
        if _is_wanted(name) and path.is_file() and not path.is_symlink():
            yield name, budget.count(name, _head(path))


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_FILE_BYTES + 1)


def _read_zip(archive: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    budget = _Budget(archive)
    try:
        with zipfile.ZipFile(archive) as opened:
            for entry in opened.infolist():
                budget.count_file()
                path = _check_entry(archive, entry.filename)
                if _is_wanted(path) and not entry.is_dir():
                    with opened.open(entry) as file:
                        yield path, budget.count(path, file.read(MAX_FILE_BYTES + 1))
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise UserError(f"{archive} is not a zip, or broken: {error}") from error
    except (RuntimeError, NotImplementedError) as error:  # encrypted; an unknown compression
        raise UserError(f"{archive} cannot be read: {error}") from error


def _check_entry(archive: Path, name: str) -> PurePosixPath:
    """Some programs write backslashes. A way out of the folder is nothing one exports."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or _DRIVE.match(name):
        raise UserError(f"{archive} is refused: its entry {name!r} leads out of its folder")
    return path
