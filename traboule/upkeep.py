"""Maintenance's context, for a command that is carried out here and now.

Nothing is sent: a pipeline that runs finds what is to be done in its next sweep.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from pipeline.cadence import utc_now
from pipeline.messages import Message
from services.maintenance.context import MaintenanceContext
from services.maintenance.settings import MaintenanceSettings
from traboule.workspace import CATALOG_BEFORE, SHEET_NAME, Workspace


def open_maintenance(workspace: Workspace) -> MaintenanceContext:
    return MaintenanceContext(
        catalog=workspace.catalog,
        store=workspace.store,
        publish=_send_nothing,
        settings=MaintenanceSettings(),
        clock=utc_now,
    )


def forget_copies(data: Path, image_id: str) -> list[Path]:
    """Remove the run's contact sheet if it shows an erased image, and the catalog of before."""
    sheet, catalog = data / SHEET_NAME, data / CATALOG_BEFORE
    forgotten = []
    with suppress(FileNotFoundError):
        if image_id in sheet.read_text(encoding="utf-8", errors="replace"):
            sheet.unlink()
            forgotten.append(sheet)
    with suppress(FileNotFoundError):
        catalog.unlink()
        forgotten.append(catalog)
    return forgotten


def _send_nothing(message: Message) -> None:
    pass
