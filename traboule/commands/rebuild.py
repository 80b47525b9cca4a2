"""`traboule rebuild-catalog`: the catalog made anew from the object store."""

from __future__ import annotations

import typer

from pipeline.errors import UserError
from traboule.options import DataOption, YesOption
from traboule.questions import confirm
from traboule.workspace import CATALOG_BEFORE, find_settings, locked


def rebuild_catalog(yes: YesOption = False, data: DataOption = None) -> None:
    """Make the catalog anew from the object store; for one that is damaged or lost.

    The pipeline must not be running. Rows of expired images and the counters live in the catalog
    alone; the old one is kept beside the new.
    """
    from traboule.rebuilding import rebuild_beside

    folder, settings = find_settings(data)
    if folder is None:
        raise UserError("the catalog is not in a folder: name one with --data")
    if not (folder / "store").is_dir():
        raise UserError(f"there is no store in {folder} to rebuild a catalog from; see --data")
    confirm(f"Rebuild the catalog of {folder}? The old one is kept as {CATALOG_BEFORE}.", yes=yes)
    with locked(folder, "rebuild the catalog"):
        rebuilt = rebuild_beside(folder, settings)
    typer.echo(
        f"rebuilt: {rebuilt.cameras} cameras, {rebuilt.detected} images detected, "
        f"{rebuilt.stored} waiting, {rebuilt.dropped} near-duplicates, "
        f"{rebuilt.tombstones} tombstones, {rebuilt.ignored} marks left out"
    )
