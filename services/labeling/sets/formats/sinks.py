"""Where a set is written: a folder or a zip, under a name of its own until it is whole.

What a killed export leaves is a hidden `.<name>.….part` beside its target, never half a set;
those a day old are removed by the next export to the same place.
"""

from __future__ import annotations

import json
import secrets
import shutil
import tempfile
import time
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, Protocol

from pipeline.errors import UserError

_STALE_S = 86_400
_CHUNK_BYTES = 1 << 20


class Sink(Protocol):
    """Takes files by their path in the set. Nothing is seen at the target before `commit`."""

    def write(self, path: str, data: bytes) -> None: ...

    def write_chunks(self, path: str, chunks: Iterable[bytes]) -> None: ...

    def scratch(self) -> IO[bytes]:
        """A file without a name, for what has to wait; gone when it is closed, or by `discard`."""
        ...

    def commit(self) -> None: ...

    def discard(self) -> None:
        """Remove what was written; after a commit there is nothing to remove."""
        ...


class FolderSink:
    def __init__(self, target: Path) -> None:
        self._target = target
        self._part = _begin(target)
        self._part.mkdir()
        self._folders: set[Path] = set()
        self._scratch = ExitStack()

    def write(self, path: str, data: bytes) -> None:
        self._place(path).write_bytes(data)

    def write_chunks(self, path: str, chunks: Iterable[bytes]) -> None:
        with self._place(path).open("wb") as file:
            file.writelines(chunks)

    def scratch(self) -> IO[bytes]:
        return self._scratch.enter_context(tempfile.TemporaryFile(dir=self._target.parent))

    def commit(self) -> None:
        self._part.replace(self._target)

    def discard(self) -> None:
        self._scratch.close()
        shutil.rmtree(self._part, ignore_errors=True)

    def _place(self, path: str) -> Path:
        place = self._part / path
        if place.parent not in self._folders:
            place.parent.mkdir(parents=True, exist_ok=True)
            self._folders.add(place.parent)
        return place


class _Zipped:
    """Images are stored as they are, since a JPEG does not shrink; the rest is deflated."""

    def __init__(self, opened: zipfile.ZipFile) -> None:
        self._zip = opened
        self._scratch = ExitStack()

    def write(self, path: str, data: bytes) -> None:
        how = zipfile.ZIP_STORED if path.endswith(".jpg") else zipfile.ZIP_DEFLATED
        self._zip.writestr(path, data, how)

    def write_chunks(self, path: str, chunks: Iterable[bytes]) -> None:
        with self._zip.open(path, "w", force_zip64=True) as file:
            for chunk in chunks:
                file.write(chunk)


class ZipSink(_Zipped):
    def __init__(self, target: Path) -> None:
        self._target = target
        self._part = _begin(target)
        super().__init__(zipfile.ZipFile(self._part, "x", zipfile.ZIP_DEFLATED, compresslevel=1))

    def scratch(self) -> IO[bytes]:
        return self._scratch.enter_context(tempfile.TemporaryFile(dir=self._target.parent))

    def commit(self) -> None:
        self._zip.close()
        self._part.replace(self._target)

    def discard(self) -> None:
        self._scratch.close()
        self._zip.close()
        self._part.unlink(missing_ok=True)


class StreamSink(_Zipped):
    """A zip that is read as it is written, as out of a container. One that is cut off lacks its
    table of contents: no program takes it for a whole one."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._pipe = _Pipe(stream)
        super().__init__(zipfile.ZipFile(self._pipe, "w", zipfile.ZIP_DEFLATED, compresslevel=1))

    def scratch(self) -> IO[bytes]:
        return self._scratch.enter_context(tempfile.TemporaryFile())

    def commit(self) -> None:
        self._zip.close()

    def discard(self) -> None:
        self._pipe.is_cut = True
        self._scratch.close()
        self._zip.close()


class _Pipe:
    """Has no place to go back to. Once cut, or broken, it takes no more: a ZipFile writes its
    contents however it ends."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.is_cut = False

    def write(self, data: bytes) -> int:
        if self.is_cut:
            return len(data)
        try:
            return self._stream.write(data)
        except OSError:
            self.is_cut = True
            raise

    def flush(self) -> None:
        if not self.is_cut:
            self._stream.flush()

    def close(self) -> None:
        """It is not ours."""


class Listing:
    """A JSON array that is too long to hold: it grows in a file, and is copied at the end."""

    def __init__(self, sink: Sink) -> None:
        self._file = sink.scratch()

    def add(self, item: Mapping[str, Any]) -> None:
        separator = ",\n" if self._file.tell() else ""
        self._file.write(f"{separator}{json.dumps(item, ensure_ascii=False)}".encode())

    def chunks(self) -> Iterator[bytes]:
        """The array's text. The listing is closed by it."""
        with self._file as file:
            file.seek(0)
            yield b"["
            while chunk := file.read(_CHUNK_BYTES):
                yield chunk
            yield b"]"


def open_sink(target: Path | IO[bytes]) -> Sink:
    """A zip when so named, or sent through a stream, else a folder. UserError where there is
    something already."""
    if not isinstance(target, Path):
        return StreamSink(target)
    is_zip = target.suffix.lower() == ".zip"
    if target.is_dir() and not is_zip and not any(target.iterdir()):
        pass  # an empty folder is as good as none
    elif target.exists() or target.is_symlink():
        raise UserError(f"{target} exists already: choose another name, or remove it")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale(target)
        return ZipSink(target) if is_zip else FolderSink(target)
    except OSError as error:
        raise UserError(f"cannot write {target}: {error.strerror}") from error


def _begin(target: Path) -> Path:
    return target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")


def _remove_stale(target: Path) -> None:
    for path in target.parent.iterdir():
        if not (path.name.startswith(f".{target.name}.") and path.name.endswith(".part")):
            continue
        if path.stat().st_mtime < time.time() - _STALE_S:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
