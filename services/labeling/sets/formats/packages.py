"""What a person hands over to import: a folder, a zip or one file, read within bounds.

Nothing is ever unpacked to disk, and a link is never followed. What is refused is said, by name.
"""

from __future__ import annotations

import stat
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Protocol, Self

from pipeline.errors import UserError

MEBIBYTE = 2**20
MAX_FILES = 500_000
MAX_TEXT_BYTES = 4 * MEBIBYTE  # of one label file
MAX_JSON_BYTES = 256 * MEBIBYTE  # of a document that holds all labels
MAX_PICTURE_BYTES = 64 * MEBIBYTE
# What a zip may come to, opened twice: labels shrink to a tenth, and a bomb to a thousandth.
_ZIP_ROOM_BYTES = 1024 * MEBIBYTE
_ZIP_RATIO = 100
_JUNK = {"__MACOSX", ".DS_Store", "Thumbs.db"}


class TooLarge(ValueError):
    """More bytes than such a file may have, whatever its header says."""


@dataclass(frozen=True)
class Refused:
    """A file in it that is not read, and why."""

    file: str
    reason: str


class Package(Protocol):
    """Files by their path, as `labels/a.txt`."""

    @property
    def names(self) -> Sequence[str]: ...

    @property
    def refused(self) -> Sequence[Refused]: ...

    def read(self, name: str, max_bytes: int) -> bytes:
        """TooLarge beyond `max_bytes`; ValueError for what is broken or encrypted."""
        ...

    def modified_at(self, name: str) -> datetime: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


def open_package(source: Path) -> Package:
    """UserError when there is nothing one could read."""
    try:
        source = source.resolve()  # a link that a person names is meant
        if source.is_dir():
            return FolderPackage(source, _list_folder(source))
        if source.is_file() and zipfile.is_zipfile(source):
            return ZipPackage(source)
        if source.is_file():
            return FolderPackage(source.parent, [source.name])
    except (OSError, zipfile.BadZipFile, ValueError) as error:
        raise UserError(f"cannot read {source}: {error}") from error
    raise UserError(f"there is no {source}")


class FolderPackage:
    def __init__(self, root: Path, names: Sequence[str]) -> None:
        self._root = root
        links = [name for name in names if (root / name).is_symlink()]
        self.refused: Sequence[Refused] = [
            Refused(name, "a link, which is not followed") for name in links
        ]
        self.names: Sequence[str] = [name for name in names if name not in set(links)]

    def read(self, name: str, max_bytes: int) -> bytes:
        try:
            with (self._root / name).open("rb") as file:
                return _bounded(file.read(max_bytes + 1), max_bytes)
        except OSError as error:
            raise ValueError(f"cannot be read: {error.strerror}") from error

    def modified_at(self, name: str) -> datetime:
        return datetime.fromtimestamp((self._root / name).stat().st_mtime, UTC)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open."""


class ZipPackage:
    def __init__(self, source: Path) -> None:
        self._zip = zipfile.ZipFile(source)
        self._room = _ZIP_ROOM_BYTES + _ZIP_RATIO * source.stat().st_size
        self._entries: dict[str, zipfile.ZipInfo] = {}
        refused = []
        for entry in self._zip.infolist():
            reason = self._take(entry)
            if reason:
                refused.append(Refused(entry.filename, reason))
        self.names: Sequence[str] = sorted(self._entries)
        self.refused: Sequence[Refused] = refused

    def _take(self, entry: zipfile.ZipInfo) -> str:
        """Why an entry is refused; "" when it is not, or is nothing to speak of."""
        name = entry.filename.replace("\\", "/")
        path = PurePosixPath(name)
        if len(self._entries) >= MAX_FILES:
            raise ValueError(f"more than {MAX_FILES} files")
        if path.is_absolute() or ".." in path.parts or ":" in name.partition("/")[0]:
            return "its name leads out of the zip"
        if stat.S_ISLNK(entry.external_attr >> 16):
            return "a link, which is not followed"
        if entry.is_dir() or _is_junk(path):
            return ""
        if str(path) in self._entries:
            return "a second file of the same name"
        self._entries[str(path)] = entry
        return ""

    def read(self, name: str, max_bytes: int) -> bytes:
        try:
            with self._zip.open(self._entries[name]) as file:
                data = file.read(max_bytes + 1)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
            raise ValueError(f"broken in the zip: {error}") from error
        except (RuntimeError, NotImplementedError) as error:  # encrypted, unknown compression
            raise ValueError(f"cannot be read: {error}") from error
        self._room -= len(data)
        if self._room < 0:
            raise UserError("this zip is refused: it holds far more than its size")
        return _bounded(data, max_bytes)

    def modified_at(self, name: str) -> datetime:
        """A zip's times have no zone; taken as UTC."""
        try:
            return datetime(*self._entries[name].date_time, tzinfo=UTC)
        except ValueError:
            return datetime(1980, 1, 1, tzinfo=UTC)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()


def _list_folder(root: Path) -> list[str]:
    names = []
    for path in _walk(root):
        name = PurePosixPath(path.relative_to(root).as_posix())
        if not _is_junk(name):
            names.append(str(name))
        if len(names) > MAX_FILES:
            raise ValueError(f"more than {MAX_FILES} files")
    return sorted(names)


def _walk(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.is_symlink() or path.is_file():
            yield path
        elif path.is_dir():
            yield from _walk(path)


def _is_junk(path: PurePosixPath) -> bool:
    return any(part in _JUNK or part.startswith("._") for part in path.parts)


def _bounded(data: bytes, max_bytes: int) -> bytes:
    if len(data) > max_bytes:
        raise TooLarge(f"larger than {max_bytes // MEBIBYTE} MiB")
    return data
