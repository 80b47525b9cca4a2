"""The object store of a laptop: a folder, and each object a file that anybody can open."""

from __future__ import annotations

import json
import mimetypes
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pipeline.errors import ObjectMissing, StorageError, UserError
from pipeline.storage.store import ObjectInfo, StoredObject, check_key, check_metadata

_STALE_S = 3600


class FolderStore:
    """A folder as object store: `<root>/<bucket>/…`, each file the object's own bytes.

    Written to a temporary file, flushed to disk, then renamed. Content type and metadata that the
    key's ending does not tell lie in `<root>/.metadata/`, written first.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._temporary = root / ".temporary"
        try:
            root.mkdir(parents=True, exist_ok=True, mode=0o700)  # raw frames are nobody else's
            self._temporary.mkdir(exist_ok=True)
            self.remove_leftovers()
        except OSError as error:
            raise UserError(f"cannot write in {root}: {error.strerror}") from error

    def put(self, key: str, stored: StoredObject) -> None:
        path = self._path(key)
        check_metadata(stored.metadata)
        try:
            if stored.metadata or stored.content_type != _guess_type(key):
                described = {"content_type": stored.content_type, "metadata": dict(stored.metadata)}
                self._write(self._described_at(key), json.dumps(described).encode())
            else:
                self._described_at(key).unlink(missing_ok=True)
            self._write(path, stored.data)
        except OSError as error:
            raise StorageError(f"cannot store {key}: {error.strerror}") from error

    def get(self, key: str) -> StoredObject:
        try:
            data = self._path(key).read_bytes()
        except FileNotFoundError:
            raise ObjectMissing(key) from None
        except OSError as error:
            raise StorageError(f"cannot read {key}: {error.strerror}") from error
        try:
            described = json.loads(self._described_at(key).read_bytes())
        except FileNotFoundError:
            return StoredObject(data, _guess_type(key))
        return StoredObject(data, described["content_type"], described["metadata"])

    def exists(self, key: str) -> bool:
        return self._path(key).is_file()

    def delete(self, key: str) -> None:
        try:
            self._path(key).unlink(missing_ok=True)
            self._described_at(key).unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(f"cannot delete {key}: {error.strerror}") from error

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        folder = self.root / prefix.rpartition("/")[0]
        paths = {path.relative_to(self.root).as_posix(): path for path in folder.rglob("*")}
        for key, path in sorted(paths.items()):
            if key.startswith(".") or not key.startswith(prefix):
                continue
            with suppress(FileNotFoundError):  # deleted since it was listed
                if path.is_file():
                    yield ObjectInfo(key, path.stat().st_size)

    def free_bytes(self) -> int | None:
        try:
            return shutil.disk_usage(self.root).free
        except OSError as error:
            raise StorageError(f"cannot look at {self.root}: {error.strerror}") from error

    def remove_leftovers(self) -> None:
        """Files an hour old: by then nobody is still writing them."""
        try:
            for path in self._temporary.iterdir():
                with suppress(FileNotFoundError):
                    if path.stat().st_mtime < time.time() - _STALE_S:
                        path.unlink()
        except OSError as error:
            raise StorageError(f"cannot clear {self._temporary}: {error.strerror}") from error

    def _path(self, key: str) -> Path:
        check_key(key)
        return self.root / key

    def _described_at(self, key: str) -> Path:
        return self.root / ".metadata" / f"{key}.json"

    def _write(self, path: Path, data: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=self._temporary)
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        _flush_folder(path.parent)


def _guess_type(key: str) -> str:
    return mimetypes.guess_type(key)[0] or "application/octet-stream"


def _flush_folder(folder: Path) -> None:
    """Make a rename survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
