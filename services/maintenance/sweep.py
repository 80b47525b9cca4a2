"""What fell between, and what has had its time: a list of sweeps, each safe to repeat."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from pipeline import keys
from pipeline.catalog.images import ImageFilter
from pipeline.ingest import announce, mark_dropped, mark_stored
from pipeline.logs import get_logger
from pipeline.records import ImageState, Provenance
from services.maintenance.context import MaintenanceContext, left_for_the_next_sweep
from services.maintenance.erasure import repeat_deletes
from services.maintenance.expiry import expire_dropped, expire_frames, states_below

log = get_logger(__name__)


def sweep(context: MaintenanceContext) -> None:
    for step in SWEEPS:
        with left_for_the_next_sweep(step.__name__):
            step(context)


def complete_storing(context: MaintenanceContext) -> None:
    """Half-stored frames: completed where the commit mark exists, else removed."""
    before = context.clock() - timedelta(seconds=context.settings.storing_grace_s)
    storing = ImageFilter(states=(ImageState.STORING,), limit=None)
    for row in context.catalog.images.search(storing):
        if row.updated_at <= before:
            with left_for_the_next_sweep(row.id):
                outcome = _complete(context, row.id)
                log.info("half-stored frame", image=row.id, now=outcome)


def _complete(context: MaintenanceContext, image_id: str) -> str:
    if context.store.exists(keys.frame_mark(image_id)):
        mark_stored(context.catalog, _read(context, keys.frame_mark(image_id)), context.clock())
        announce(context.publish, image_id)
        return "stored"
    if context.store.exists(keys.dropped_mark(image_id)):
        mark_dropped(context.catalog, _read(context, keys.dropped_mark(image_id)))
        return "dropped"
    context.store.delete(keys.frame(image_id))
    context.store.delete(keys.dropped(image_id))
    context.catalog.images.remove(image_id)
    return "removed"


def complete_restores(context: MaintenanceContext) -> None:
    """Near-duplicates whose restoring was cut off after their mark lay in raw/frames/."""
    for image_id, state in states_below(context, keys.FRAMES).items():
        mark = keys.frame_mark(image_id)
        if state is ImageState.DROPPED and context.store.exists(mark):
            with left_for_the_next_sweep(image_id):
                mark_stored(context.catalog, _read(context, mark), context.clock())
                announce(context.publish, image_id)


def announce_waiting(context: MaintenanceContext) -> None:
    """Announce images whose next stage has no result; hold back while many are under way."""
    now = context.clock()
    room = context.settings.max_in_flight - context.catalog.work.in_flight(now)
    for image_id in context.catalog.work.take_due(now, max(0, room)):
        if not announce(context.publish, image_id):
            return


def remove_leftovers(context: MaintenanceContext) -> None:
    context.store.remove_leftovers()


def forget_drops(context: MaintenanceContext) -> None:
    listed = timedelta(days=context.settings.drops_listed_days)
    context.catalog.drops.forget_before(context.clock() - listed)


def _read(context: MaintenanceContext, key: str) -> Provenance:
    return Provenance.model_validate_json(context.store.get(key).data)


# What must not wait comes first: unblurred pictures and erased ones.
SWEEPS: tuple[Callable[[MaintenanceContext], None], ...] = (
    expire_frames,
    repeat_deletes,
    complete_storing,
    complete_restores,
    expire_dropped,
    remove_leftovers,
    announce_waiting,
    forget_drops,
)
