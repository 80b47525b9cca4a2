"""What a killed or stalled process left half-way in raw/: completed where its mark exists."""

from __future__ import annotations

from datetime import datetime, timedelta

from pipeline import keys
from pipeline.catalog.images import ImageFilter, NewImage
from pipeline.frames import announce, mark_dropped, mark_stored
from pipeline.logs import get_logger
from pipeline.records import ImageState, Provenance
from services.maintenance.context import MaintenanceContext, left_for_the_next_sweep
from services.maintenance.expiry import states_below

log = get_logger(__name__)


def complete_storing(context: MaintenanceContext) -> None:
    """Half-stored frames: completed where the commit mark exists, else removed."""
    before = _given_up_before(context)
    storing = ImageFilter(states=(ImageState.STORING,), limit=None)
    for row in context.catalog.images.search(storing):
        if row.updated_at <= before:
            with left_for_the_next_sweep(row.id):
                outcome = _complete(context, row.id, before)
                log.info("half-stored frame", image=row.id, now=outcome)


def _complete(context: MaintenanceContext, image_id: str, before: datetime) -> str:
    for key in (keys.frame(image_id), keys.dropped(image_id)):
        if context.store.exists(f"{key}.json"):
            return _mark(context, key)
    # The row alone: bytes and mark are judged together, as those of a frame without a row.
    removed = context.catalog.images.remove_half_stored(image_id, before)
    return "given up" if removed else "in work again"


def complete_frames(context: MaintenanceContext) -> None:
    """Restores that were cut off after their mark lay in raw/frames/, and frames without a row."""
    for image_id, state in states_below(context, keys.FRAMES).items():
        key = keys.frame(image_id)
        with left_for_the_next_sweep(image_id):
            if state is None:
                _take_up(context, key)
            elif state is ImageState.DROPPED and context.store.exists(f"{key}.json"):
                _mark(context, key)


def complete_dropped(context: MaintenanceContext) -> None:
    """Near-duplicates without a row."""
    for image_id, state in states_below(context, keys.DROPPED).items():
        if state is None:
            with left_for_the_next_sweep(image_id):
                _take_up(context, keys.dropped(image_id))


def _take_up(context: MaintenanceContext, key: str) -> None:
    """A process stood still for so long that its row was given up, and then stored its frame."""
    image_id, mark = keys.image_of(key), f"{key}.json"
    if keys.captured_at(image_id) > _given_up_before(context):
        return  # in work
    erased = context.store.exists(keys.tombstone(image_id))
    whole = context.store.exists(key) and context.store.exists(mark)
    if whole and not erased and _begin(context, _read(context, mark)):
        log.warning("frame without a row", image=image_id, now=_mark(context, key))
        return
    context.store.delete(mark)
    context.store.delete(key)
    log.warning("frame without a row", image=image_id, now="removed")


def _begin(context: MaintenanceContext, provenance: Provenance) -> bool:
    """Whether no other image has the same bytes of the same source."""
    pair = (provenance.source, provenance.sha256_received)
    new = NewImage(provenance.id, *pair, provenance.captured_at)
    return context.catalog.images.begin(new, context.clock()).id == provenance.id


def _mark(context: MaintenanceContext, key: str) -> str:
    """The row, from the mark beside the bytes; what it now says."""
    provenance = _read(context, f"{key}.json")
    if key.startswith(keys.DROPPED):
        mark_dropped(context.catalog, provenance)
        return "dropped"
    mark_stored(context.catalog, provenance, context.clock())
    announce(context.publish, provenance.id)
    return "stored"


def _given_up_before(context: MaintenanceContext) -> datetime:
    return context.clock() - timedelta(seconds=context.settings.storing_grace_s)


def _read(context: MaintenanceContext, key: str) -> Provenance:
    return Provenance.model_validate_json(context.store.get(key).data)
