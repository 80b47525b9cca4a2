"""Rebuilding the catalog: a folder's beside the old one, which it replaces once it is whole; a
server's in one transaction."""

from __future__ import annotations

import shutil
import sys
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from pydantic import ValidationError
from rich.console import Console

from pipeline import keys
from pipeline.cadence import utc_now
from pipeline.catalog import Catalog, open_catalog
from pipeline.catalog.renewal import renewed
from pipeline.errors import UserError
from pipeline.settings import PipelineSettings
from pipeline.storage import ObjectStore, open_store
from services.maintenance.rebuild import Rebuilt, rebuild_catalog
from traboule.workspace import CATALOG_BEFORE

NAME = "catalog.sqlite3"
_LOG, _SHARED = "-wal", "-shm"  # what SQLite keeps beside a database


def rebuild_beside(folder: Path, settings: PipelineSettings) -> Rebuilt:
    """Whoever calls this holds the folder's lock. UserError where an object is damaged."""
    beside = folder / f"{NAME}.rebuilding"
    _remove(beside)  # left by one that was stopped
    try:
        rebuilt = _rebuild(beside, settings)
        replace_catalog(folder / NAME, beside, folder / CATALOG_BEFORE)
    finally:
        _remove(beside)
    return rebuilt


def rebuild_in_place(settings: PipelineSettings) -> Rebuilt:
    """UserError where the pipeline is at work, or an object is damaged: then nothing changes."""
    store = open_store(settings.store_url)
    with renewed(settings.catalog_url) as catalog:
        rebuilt = _fill(catalog, store)
        listed = {keys.image_of(entry.key) for entry in store.list(keys.SOURCES)}
        for camera in catalog.cameras.all():
            if camera.id not in listed:
                catalog.cameras.remove(camera.id)
    return rebuilt


def _rebuild(beside: Path, settings: PipelineSettings) -> Rebuilt:
    with closing(open_catalog(f"sqlite:///{quote(str(beside))}")) as catalog:
        return _fill(catalog, open_store(settings.store_url))


def _fill(catalog: Catalog, store: ObjectStore) -> Rebuilt:
    reading = ""
    console = Console(file=sys.stderr, highlight=False)
    with console.status("reading the object store") as line:

        def note(key: str) -> None:
            nonlocal reading
            reading = key
            line.update(f"reading {key}")

        try:
            return rebuild_catalog(catalog, store, utc_now(), note)
        except ValidationError:
            raise UserError(
                f"{reading} in the object store is damaged: move it away, then rebuild again"
            ) from None


def replace_catalog(old: Path, new: Path, kept_as: Path) -> None:
    """A copy of `old` goes to `kept_as`; `new` takes its place in one step.

    The old one's log goes first: SQLite would read it into the new one.
    """
    _remove(kept_as)
    for ending in ("", _LOG):
        if _beside(old, ending).exists():
            shutil.copyfile(_beside(old, ending), _beside(kept_as, ending))
    for ending in (_LOG, _SHARED):
        _beside(old, ending).unlink(missing_ok=True)
    new.replace(old)


def _remove(database: Path) -> None:
    for ending in ("", _LOG, _SHARED):
        _beside(database, ending).unlink(missing_ok=True)


def _beside(database: Path, ending: str) -> Path:
    return database.with_name(database.name + ending)
