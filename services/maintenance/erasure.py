"""Erasing an image: the tombstone first, then every object and row, repeated for a while."""

from __future__ import annotations

from datetime import timedelta

from pipeline import keys
from pipeline.catalog.tables import ImageRow
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
        if keys.is_image_id(image_id) and context.store.exists(keys.tombstone(image_id)):
            _delete_objects(context, image_id)
            return
        raise UserError(f"no image {image_id!r}; see: traboule images list")
    tombstone = _bury(context, row, reason)
    repeat_until = tombstone.erased_at + timedelta(seconds=context.settings.deletes_repeated_s)
    context.catalog.tombstones.add(tombstone, repeat_until)
    _delete_objects(context, image_id)
    context.catalog.images.remove(image_id)
    log.info("erased", image=image_id)


def repeat_deletes(context: MaintenanceContext) -> None:
    """Delete again what a stage may have written while its image was being erased."""
    for tombstone in context.catalog.tombstones.to_repeat():
        _delete_objects(context, tombstone.id)
        context.catalog.images.remove(tombstone.id)
    context.catalog.tombstones.end_repeats(context.clock())


def _bury(context: MaintenanceContext, row: ImageRow, reason: str) -> Tombstone:
    tombstone = Tombstone(
        id=row.id,
        source=row.source,
        sha256_received=row.sha256_received,
        erased_at=context.clock(),
        reason=reason,
    )
    put_json(context.store, keys.tombstone(row.id), tombstone.model_dump_json(indent=1))
    return tombstone


def _delete_objects(context: MaintenanceContext, image_id: str) -> None:
    for key in keys.every_object(image_id):
        context.store.delete(key)
