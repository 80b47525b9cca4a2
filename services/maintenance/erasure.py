"""Erasing an image: the tombstone first, then every object and row, repeated for a while."""

from __future__ import annotations

from datetime import timedelta

from pipeline import keys
from pipeline.errors import UserError
from pipeline.logs import get_logger
from pipeline.records import Tombstone
from pipeline.storage import put_json
from services.maintenance.context import MaintenanceContext

log = get_logger(__name__)


def delete_image(context: MaintenanceContext, image_id: str, reason: str = "") -> None:
    """Remove every object and row of an image for good. UserError when there is no such image."""
    row = context.catalog.images.get(image_id)
    if row is None:
        raise UserError(f"no image {image_id!r}; see: traboule images list")
    tombstone = Tombstone(
        id=row.id,
        source=row.source,
        sha256_received=row.sha256_received,
        erased_at=context.clock(),
        reason=reason,
    )
    put_json(context.store, keys.tombstone(row.id), tombstone.model_dump_json(indent=1))
    _note(context, tombstone)
    _remove(context, image_id)
    log.info("erased", image=image_id)


def repeat_deletes(context: MaintenanceContext) -> None:
    """Delete again what a stage may have written while its image was being erased."""
    known = {row.id for row in context.catalog.tombstones.all()}
    for entry in context.store.list(keys.TOMBSTONES):
        if keys.image_of(entry.key) not in known:  # its delete was cut off
            data = context.store.get(entry.key).data
            _note(context, Tombstone.model_validate_json(data))
    for row in context.catalog.tombstones.to_repeat():
        _remove(context, row.id)
    context.catalog.tombstones.end_repeats(context.clock())


def _note(context: MaintenanceContext, tombstone: Tombstone) -> None:
    repeated = timedelta(seconds=context.settings.deletes_repeated_s)
    context.catalog.tombstones.add(tombstone, repeat_until=context.clock() + repeated)


def _remove(context: MaintenanceContext, image_id: str) -> None:
    for key in keys.every_object(image_id):
        context.store.delete(key)
    context.catalog.images.remove(image_id)
