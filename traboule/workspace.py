"""The folder a user's data lives in: store/, catalog.sqlite3, logs/, and the lock of a run."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from pipeline.errors import UserError

if TYPE_CHECKING:
    from pipeline.catalog import Catalog
    from pipeline.settings import PipelineSettings
    from pipeline.storage import ObjectStore

LOCK_NAME = "run.lock"
SHEET_NAME = "sheet.html"
CATALOG_BEFORE = "catalog.sqlite3.before-rebuild"


@dataclass(frozen=True)
class Workspace:
    """`data` is None where the addresses come from the environment, as in a container."""

    data: Path | None
    settings: PipelineSettings
    catalog: Catalog
    store: ObjectStore

    @property
    def is_composed(self) -> bool:
        """Whether the stages are processes elsewhere, which do what they are sent."""
        return self.data is None and not self.settings.broker_url.startswith("memory:")

    def close(self) -> None:
        self.catalog.close()


def default_data_folder() -> Path:
    return Path(platformdirs.user_data_dir("traboule", appauthor=False))


def has_addresses() -> bool:
    """Whether the environment says where everything is, as it does in a container."""
    return "PIPELINE_CATALOG_URL" in os.environ


def find_settings(data: Path | None) -> tuple[Path | None, PipelineSettings]:
    """The folder asked for; else the environment's addresses; else the user's own folder."""
    from pipeline.settings import PipelineSettings

    if data is None and has_addresses():
        return None, PipelineSettings()
    folder = (data or default_data_folder()).expanduser().absolute()
    return folder, PipelineSettings.of_folder(folder)


def open_workspace(data: Path | None) -> Workspace:
    """UserError when the folder cannot be written or its catalog cannot be read."""
    from pipeline.catalog import open_catalog
    from pipeline.storage import open_store

    folder, settings = find_settings(data)
    store = open_store(settings.store_url)
    return Workspace(folder, settings, open_catalog(settings.catalog_url), store)


@contextmanager
def locked(folder: Path, doing: str) -> Iterator[None]:
    """Hold the folder's lock, which one `run` or one rebuild may have. UserError when taken."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = (folder / LOCK_NAME).open("a+")
    except OSError as error:
        raise UserError(f"cannot write in {folder}: {error.strerror}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "another traboule"
            raise UserError(
                f"cannot {doing}: {holder} works in {folder}; wait for its end, or choose "
                "another folder with --data"
            ) from None
        try:
            file.truncate(0)
            file.write(f"a traboule that began to {doing} (process {os.getpid()})")
            file.flush()
        except OSError as error:
            raise UserError(f"cannot write in {folder}: {error.strerror}; make room") from error
        yield
