"""Erasing an image: the tombstone first, then every object and row, repeated for a while."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

from pydantic import ValidationError

from pipeline import keys
from pipeline.errors import ObjectMissing, UserError
from pipeline.logs import get_logger
from pipeline.records import Detections, Provenance, Tombstone
from pipeline.storage import put_json
from services.maintenance.context import MaintenanceContext, left_for_the_next_sweep
from services.maintenance.expiry import images_below

log = get_logger(__name__)


def delete_image(context: MaintenanceContext, image_id: str, reason: str = "") -> None:
    """Remove every object and row of an image for good. UserError when there is no trace of it."""
    identity = _identify(context, image_id) if keys.is_image_id(image_id) else None
    if identity is None:
        raise UserError(f"no image {image_id!r}; see: traboule images list")
    source, sha256 = identity
    tombstone = Tombstone(
        id=image_id,
        source=source,
        sha256_received=sha256,
        erased_at=context.clock(),
        reason=reason,
    )
    put_json(context.store, keys.tombstone(image_id), tombstone.model_dump_json(indent=1))
    _note(context, tombstone)
    said, to_delete = _remove(context, image_id)
    log.info("erased", image=image_id, annotations=said, labeling_tasks_to_delete=to_delete)


def _identify(context: MaintenanceContext, image_id: str) -> tuple[str, str] | None:
    """Source and SHA-256 as received: from the row, else from whatever object tells."""
    row = context.catalog.images.get(image_id)
    if row is not None:
        return row.source, row.sha256_received
    for key, read in (
        (keys.detections(image_id), lambda data: Detections.model_validate_json(data).provenance),
        (keys.frame_mark(image_id), Provenance.model_validate_json),
        (keys.dropped_mark(image_id), Provenance.model_validate_json),
        (keys.tombstone(image_id), Tombstone.model_validate_json),
    ):
        with suppress(ObjectMissing, ValidationError):
            found: Provenance | Tombstone = read(context.store.get(key).data)
            return found.source, found.sha256_received
    if any(context.store.list(keys.annotations_folder(image_id))):
        return keys.source_of(image_id), ""  # all else is gone: nobody knows its bytes
    return None


def repeat_deletes(context: MaintenanceContext) -> None:
    """Delete again what a stage may have written while its image was being erased."""
    known = {row.id for row in context.catalog.tombstones.all()}
    for image_id in images_below(context, keys.TOMBSTONES):
        if image_id not in known:  # its delete was cut off
            with left_for_the_next_sweep(image_id):
                data = context.store.get(keys.tombstone(image_id)).data
                _note(context, Tombstone.model_validate_json(data))
    for row in context.catalog.tombstones.to_repeat():
        with left_for_the_next_sweep(row.id):
            _remove(context, row.id)
    context.catalog.tombstones.end_repeats(context.clock())


def _note(context: MaintenanceContext, tombstone: Tombstone) -> None:
    repeated = timedelta(seconds=context.settings.deletes_repeated_s)
    context.catalog.tombstones.add(tombstone, repeat_until=context.clock() + repeated)


def _remove(context: MaintenanceContext, image_id: str) -> tuple[int, int]:
    """How many revisions of annotations it had; how many labeling tasks are for labeling to delete
    in Label Studio."""
    for key in keys.every_object(image_id):
        context.store.delete(key)
    said = [entry.key for entry in context.store.list(keys.annotations_folder(image_id))]
    for key in said:
        context.store.delete(key)
    context.catalog.annotations.forget_image(image_id)
    to_delete = context.catalog.labeling.erase_image(image_id, context.clock())
    context.catalog.images.remove(image_id)
    return len(said), to_delete
