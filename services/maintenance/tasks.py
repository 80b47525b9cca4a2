"""Maintenance's tasks: its sweep, and the commands about images."""

from __future__ import annotations

from pipeline.broker import Handlers, Publish
from pipeline.cadence import utc_now
from pipeline.catalog import open_catalog
from pipeline.messages import DeleteImage, RestoreDrop, Sweep
from pipeline.settings import PipelineSettings
from pipeline.storage import open_store
from services.maintenance import erasure, restoring
from services.maintenance import sweep as sweeping
from services.maintenance.context import MaintenanceContext
from services.maintenance.settings import MaintenanceSettings

handlers: Handlers[MaintenanceContext] = Handlers()


@handlers.on(Sweep)
def sweep(context: MaintenanceContext, message: Sweep) -> None:
    sweeping.sweep(context)


@handlers.on(DeleteImage)
def delete_image(context: MaintenanceContext, message: DeleteImage) -> None:
    erasure.delete_image(context, message.image, message.reason)


@handlers.on(RestoreDrop)
def restore_drop(context: MaintenanceContext, message: RestoreDrop) -> None:
    restoring.restore_drop(context, message.image)


def build_context(
    shared: PipelineSettings, settings: MaintenanceSettings, publish: Publish
) -> MaintenanceContext:
    return MaintenanceContext(
        catalog=open_catalog(shared.catalog_url),
        store=open_store(shared.store_url),
        publish=publish,
        settings=settings,
        clock=utc_now,
    )
