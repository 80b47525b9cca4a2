"""Which project of which Label Studio is ours, as the catalog knows it."""

from __future__ import annotations

import re
from pathlib import Path

from pipeline.catalog import Catalog
from pipeline.catalog.tables import LabelingProjectRow
from pipeline.errors import UserError
from traboule.labels.connection import find_labeling
from traboule.workspace import Workspace


def find_row(catalog: Catalog, url: str | None) -> LabelingProjectRow | None:
    """The project that answered last: at this address, or wherever it is. Of an address that never
    answered, the row that says why."""
    rows = [
        row
        for row in catalog.labeling_projects.all()
        if url is None or row.project.rpartition("#")[0] == url
    ]
    answered = [row for row in rows if row.contacted_at is not None]
    if answered:
        return max(
            answered, key=lambda row: row.contacted_at.timestamp() if row.contacted_at else 0
        )
    return rows[0] if rows else None


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
