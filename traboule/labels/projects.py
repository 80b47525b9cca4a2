"""Which project of which Label Studio is ours, as the catalog knows it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from pipeline.catalog import Catalog
from pipeline.catalog.tables import LabelingProjectRow
from pipeline.errors import UserError
from traboule.labels.connection import find_labeling
from traboule.workspace import Workspace


def find_row(catalog: Catalog, url: str | None) -> LabelingProjectRow | None:
    """The project that answered last: at this address, or wherever it is. Of an address that never
    answered, the row that says why."""
    rows = _list_rows(catalog, url)
    return rows[0] if rows else None


def list_known(catalog: Catalog, url: str) -> Sequence[str]:
    """Keys of the projects at this address that answered, the last one first."""
    return [row.project for row in _list_rows(catalog, url) if row.contacted_at is not None]


def _list_rows(catalog: Catalog, url: str | None) -> Sequence[LabelingProjectRow]:
    """Those that answered last come first, those that never did at the end."""
    rows = [
        row
        for row in catalog.labeling_projects.all()
        if url is None or row.project.rpartition("#")[0] == url
    ]
    return sorted(rows, key=lambda row: -row.contacted_at.timestamp() if row.contacted_at else 0)


def find_project_key(workspace: Workspace) -> str:
    """UserError where none was ever reached."""
    row = find_row(workspace.catalog, None)
    if row is None or row.contacted_at is None:
        why = f": {row.reason}" if row is not None and row.reason else ""
        raise UserError(f"labeling has not reached a Label Studio yet{why}")
    return row.project


def find_current_key(catalog: Catalog, data: Path | None) -> str | None:
    """Of the project that is connected now; None where none is, or it was not reached yet."""
    try:
        settings = find_labeling(data)
    except UserError:  # the file that names it was damaged
        return None
    if settings is None and data is not None:
        return None
    row = find_row(catalog, settings.url if settings else None)
    return None if row is None or row.contacted_at is None else row.project


def address_of(key: str) -> str:
    """Where a browser finds a project."""
    found = re.fullmatch(r"(.+)#(\d+).*", key)
    return key if found is None else f"{found.group(1)}/projects/{found.group(2)}"
