"""Bringing a near-duplicate back: from raw/dropped/ into the flow."""

from __future__ import annotations

from datetime import timedelta

from pipeline import keys
from pipeline.catalog import Catalog
from pipeline.catalog.drops import DropFilter
from pipeline.catalog.tables import DropRow, ImageRow
from pipeline.errors import ObjectMissing, UserError
from pipeline.frames import announce, mark_stored
from pipeline.logs import get_logger
from pipeline.records import ImageState, Provenance
from services.maintenance.context import MaintenanceContext

log = get_logger(__name__)


def restore_drop(context: MaintenanceContext, image_id: str) -> None:
    """Bytes, then their mark, then the row; may be repeated. UserError when there are no bytes."""
    if not keys.is_image_id(image_id):
        raise UserError(f"no image {image_id!r}; see: traboule drops list")
    lifetime = timedelta(hours=context.settings.raw_lifetime_h)
    if context.clock() - keys.captured_at(image_id) >= lifetime:
        raise UserError(explain_refusal(context.catalog, image_id))
    try:
        frame = context.store.get(keys.dropped(image_id))
        mark = context.store.get(keys.dropped_mark(image_id))
    except ObjectMissing:
        raise UserError(explain_refusal(context.catalog, image_id)) from None
    context.store.put(keys.frame(image_id), frame)
    context.store.put(keys.frame_mark(image_id), mark)
    provenance = Provenance.model_validate_json(mark.data)
    if not mark_stored(context.catalog, provenance, context.clock()):
        log.warning("restored, but its row did not wait for it", image=image_id)
    context.store.delete(keys.dropped_mark(image_id))
    context.store.delete(keys.dropped(image_id))
    announce(context.publish, image_id)
    log.info("restored", image=image_id)


def explain_refusal(catalog: Catalog, image_id: str) -> str:
    """Why the image is not one to bring back, and where to look."""
    row = catalog.images.get(image_id)
    if row is None or row.state in {ImageState.DROPPED, ImageState.EXPIRED}:
        return f"{image_id} cannot be restored: its bytes are gone; see: traboule drops list"
    was_dropped = find_drop(catalog, row) is not None
    told = "was restored already" if was_dropped else "cannot be restored: it was kept"
    return f"{image_id} {told}; see: traboule images show {image_id}"


def find_drop(catalog: Catalog, row: ImageRow) -> DropRow | None:
    """The image's line in the list of drops, where it has one."""
    until = row.captured_at + timedelta(seconds=1)
    wanted = DropFilter(camera=row.source, since=row.captured_at, until=until)
    listed = catalog.drops.search(wanted)
    return next((drop for drop in listed if drop.image_id == row.id), None)
