"""Maintenance's context, for a command that is carried out here and now.

Nothing is sent: a pipeline that runs finds what is to be done in its next sweep.
"""

from __future__ import annotations

from pipeline.cadence import utc_now
from pipeline.messages import Message
from services.maintenance.context import MaintenanceContext
from services.maintenance.settings import MaintenanceSettings
from traboule.workspace import Workspace


def open_maintenance(workspace: Workspace) -> MaintenanceContext:
    return MaintenanceContext(
        catalog=workspace.catalog,
        store=workspace.store,
        publish=_send_nothing,
        settings=MaintenanceSettings(),
        clock=utc_now,
    )


def _send_nothing(message: Message) -> None:
    pass
