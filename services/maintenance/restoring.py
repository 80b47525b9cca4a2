"""Bringing a near-duplicate back: from raw/dropped/ into the flow."""

from __future__ import annotations

from pipeline import keys
from pipeline.errors import ObjectMissing, UserError
from pipeline.ingest import announce, mark_stored
from pipeline.logs import get_logger
from pipeline.records import Provenance
from services.maintenance.context import MaintenanceContext

log = get_logger(__name__)


def restore_drop(context: MaintenanceContext, image_id: str) -> None:
    """Bytes, then their mark, then the row; may be repeated. UserError when there are no bytes."""
    if not keys.is_image_id(image_id):
        raise UserError(f"no image {image_id!r}; see: traboule drops list")
    try:
        frame = context.store.get(keys.dropped(image_id))
        mark = context.store.get(keys.dropped_mark(image_id))
    except ObjectMissing:
        raise UserError(
            f"{image_id} cannot be restored: its bytes are gone; see: traboule drops list"
        ) from None
    context.store.put(keys.frame(image_id), frame)
    context.store.put(keys.frame_mark(image_id), mark)
    provenance = Provenance.model_validate_json(mark.data)
    mark_stored(context.catalog, provenance, context.clock())
    context.store.delete(keys.dropped_mark(image_id))
    context.store.delete(keys.dropped(image_id))
    announce(context.publish, image_id)
    log.info("restored", image=image_id)
