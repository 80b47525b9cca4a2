"""`traboule rebuild-catalog`: the catalog made anew from the object store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from pipeline.addresses import hide_secrets
from pipeline.errors import UserError
from traboule.options import DataOption, YesOption
from traboule.questions import confirm
from traboule.workspace import CATALOG_BEFORE, find_settings, locked

if TYPE_CHECKING:
    from pipeline.settings import PipelineSettings
    from services.maintenance.rebuild import Rebuilt


def rebuild_catalog(yes: YesOption = False, data: DataOption = None) -> None:
    """Make the catalog anew from the object store; for one that is damaged or lost.

    The pipeline must not be running. Rows of expired images and the counters live in the catalog
    alone: a folder's old one is kept beside the new, in a server's they stay.
    """
    folder, settings = find_settings(data)
    rebuilt = _in_place(settings, yes) if folder is None else _beside(folder, settings, yes)
    typer.echo(
        f"rebuilt: {rebuilt.cameras} cameras, {rebuilt.detected} images detected, "
        f"{rebuilt.stored} waiting, {rebuilt.dropped} near-duplicates, "
        f"{rebuilt.annotations} annotations, {rebuilt.tombstones} tombstones, "
        f"{rebuilt.ignored} marks left out"
    )


def _beside(folder: Path, settings: PipelineSettings, yes: bool) -> Rebuilt:
    from traboule.rebuilding import rebuild_beside

    if not (folder / "store").is_dir():
        raise UserError(f"there is no store in {folder} to rebuild a catalog from; see --data")
    confirm(f"Rebuild the catalog of {folder}? The old one is kept as {CATALOG_BEFORE}.", yes=yes)
    with locked(folder, "rebuild the catalog"):
        return rebuild_beside(folder, settings)


def _in_place(settings: PipelineSettings, yes: bool) -> Rebuilt:
    from traboule.rebuilding import rebuild_in_place

    if not settings.catalog_url.startswith("postgresql"):
        raise UserError("the catalog is a file: name its folder with --data")
    where = hide_secrets(settings.catalog_url)
    confirm(f"Rebuild the catalog {where}? The new one takes the old one's place.", yes=yes)
    return rebuild_in_place(settings)
