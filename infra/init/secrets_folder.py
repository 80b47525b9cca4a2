"""The folder of secrets: a sub-folder for each consumer, which mounts that one alone.

Files are 0440 and folders 0750, of one group: public images bring users of their own. A file is
written beside its place, flushed to disk and renamed: it is there whole, or not at all.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import UserError

FILE_MODE, FOLDER_MODE = 0o440, 0o750
NEW, OLD = ".new", ".old"  # endings of what a rotation is about to bring, and has just ended
_PART = ".part"


@dataclass(frozen=True)
class SecretsFolder:
    root: Path
    gid: int

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One init at a time: a second waits."""
        with _explained(self.root), (self.root / ".lock").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def is_ours(self, name: str) -> bool:
        """Whether it can be written; Swarm mounts secrets that somebody else made."""
        folder = (self.root / name).parent
        return os.access(folder if folder.exists() else self.root, os.W_OK)

    def read(self, name: str) -> str | None:
        """None for a secret that is not there, or is empty."""
        try:
            return (self.root / name).read_text().strip() or None
        except FileNotFoundError:
            return None

    def get(self, name: str) -> str:
        secret = self.read(name)
        if secret is None:
            raise UserError(f"there is no {self.root / name}; run: python -m infra.init secrets")
        return secret

    def candidates(self, name: str) -> list[str]:
        """What a server may know as this password while it is being changed, likeliest first."""
        found = (self.read(f"{name}{ending}") for ending in ("", NEW, OLD))
        return list(dict.fromkeys(secret for secret in found if secret is not None))

    def coming(self, name: str) -> str:
        """The password that servers are to know: the new one while there is one."""
        return self.read(f"{name}{NEW}") or self.get(name)

    def write(self, name: str, secret: str) -> None:
        path = self.root / name
        self._make_folder(path.parent)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=_PART)
        with os.fdopen(handle, "w") as file:
            file.write(secret)
            file.flush()
            self._settle(Path(temporary), FILE_MODE)
            os.fsync(handle)
        Path(temporary).replace(path)
        _flush(path.parent)

    def promote(self, name: str, *, keep_old: bool = False) -> bool:
        """Whether there was a new password, which now is the current one."""
        path = self.root / name
        new = path.with_name(f"{path.name}{NEW}")
        if self.read(f"{name}{NEW}") is None:
            return False
        if keep_old:
            self.write(f"{name}{OLD}", self.get(name))
        new.replace(path)
        _flush(path.parent)
        return True

    def forget_old(self, name: str) -> None:
        (self.root / f"{name}{OLD}").unlink(missing_ok=True)

    def mend(self) -> None:
        """What a killed run left half-written, and what was restored with other rights."""
        for folder in self.root.glob("*/"):
            if os.geteuid() in {0, folder.stat().st_uid}:  # Swarm makes them itself, and right
                self._settle(folder, FOLDER_MODE)
        for path in self.root.glob("*/*"):
            if path.name.endswith(_PART):
                path.unlink()
            elif path.is_file():
                self._settle(path, FILE_MODE)

    def _make_folder(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True, mode=FOLDER_MODE)
        self._settle(folder, FOLDER_MODE)
        _flush(self.root)

    def _settle(self, path: Path, mode: int) -> None:
        """Rights are changed only where they differ: they may be another's and right."""
        found = path.stat()
        if found.st_gid != self.gid:
            os.chown(path, -1, self.gid)
        if found.st_mode & 0o7777 != mode:
            path.chmod(mode)


@contextmanager
def _explained(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.filename is None or not Path(str(error.filename)).is_relative_to(root):
            raise
        raise UserError(
            f"cannot use {error.filename}: {error.strerror}; let user {os.geteuid()} own {root} "
            "and all in it"
        ) from error


def _flush(folder: Path) -> None:
    """Make a rename survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
