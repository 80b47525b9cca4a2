"""After a restore: a catalog and a store that were copied one after the other, made to agree.

The store is the later of the two, and has no raw/: what was erased since stays erased, what was
detected since is taken up, and what waited is given up, since its frame is nowhere.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipeline import keys
from pipeline.cadence import first_due
from pipeline.catalog.cameras import camera_of
from pipeline.catalog.images import Found, ImageFilter, NewImage
from pipeline.frames import mark_stored
from pipeline.logs import get_logger
from pipeline.looks import write_safe_look
from pipeline.records import Camera, Detections, ImageState
from services.maintenance.context import MaintenanceContext, left_for_the_next_sweep
from services.maintenance.erasure import repeat_deletes
from services.maintenance.expiry import images_below, states_below

REASON = "its frame was not in the backup"
_WAITING = (ImageState.STORED, ImageState.AWAITING_MODEL, ImageState.QUARANTINED)

log = get_logger(__name__)


@dataclass(frozen=True)
class Reconciled:
    cameras: int  # added, changed or removed since the catalog was copied
    detected: int  # taken up
    given_up: int
    forgotten: int  # rows of frames that were only half stored


def reconcile(context: MaintenanceContext) -> Reconciled:
    """With the pipeline stopped; may be repeated."""
    repeat_deletes(context)
    cameras = _reconcile_cameras(context)
    forgotten = _forget_half_stored(context)
    detected = _take_up_detected(context)
    return Reconciled(cameras, detected, _give_up_waiting(context), forgotten)


def _reconcile_cameras(context: MaintenanceContext) -> int:
    """`sources/` is the list; the catalog follows it."""
    known = {row.id: camera_of(row) for row in context.catalog.cameras.all()}
    listed = [entry.key for entry in context.store.list(keys.SOURCES)]
    gone = known.keys() - {keys.image_of(key) for key in listed}
    for camera_id in gone:
        context.catalog.cameras.remove(camera_id)
    changed = 0
    for key in listed:
        with left_for_the_next_sweep(key):
            camera = Camera.model_validate_json(context.store.get(key).data)
            if known.get(camera.id) != camera:
                context.catalog.cameras.save(camera, first_due(camera, context.clock()))
                changed += 1
    return changed + len(gone)


def _forget_half_stored(context: MaintenanceContext) -> int:
    """First of all rows: the same bytes may have come back under another id since."""
    half_stored = _rows_without(context, keys.FRAMES, ImageState.STORING)
    for image_id in half_stored:
        context.catalog.images.remove(image_id)
    return len(half_stored)


def _take_up_detected(context: MaintenanceContext) -> int:
    taken = 0
    for image_id, state in states_below(context, keys.DETECTIONS).items():
        if state is not ImageState.DETECTED:
            with left_for_the_next_sweep(image_id):
                mark = context.store.get(keys.detections(image_id))
                taken += _take_up(context, Detections.model_validate_json(mark.data))
    return taken


def _take_up(context: MaintenanceContext, result: Detections) -> bool:
    about = result.provenance
    new = NewImage(about.id, about.source, about.sha256_received, about.captured_at)
    row = context.catalog.images.begin(new, context.clock())
    if row.id != about.id:
        log.warning("its bytes are another image's", image=about.id, other=row.id)
        return False
    mark_stored(context.catalog, about, context.clock())
    found = Found.summary_of(result, write_safe_look(result))
    return context.catalog.images.mark_detected(about.id, found)


def _give_up_waiting(context: MaintenanceContext) -> int:
    waiting = _rows_without(context, keys.FRAMES, *_WAITING)
    for image_id in waiting:
        context.catalog.images.mark_undetected(image_id, REASON, context.clock())
    dropped = _rows_without(context, keys.DROPPED, ImageState.DROPPED)
    for image_id in dropped:
        context.catalog.images.mark_expired(image_id, context.clock())
    return len(waiting) + len(dropped)


def _rows_without(context: MaintenanceContext, prefix: str, *states: ImageState) -> list[str]:
    """Images in one of the states of which nothing lies below the prefix."""
    rows = context.catalog.images.search(ImageFilter(states=states, limit=None))
    there = set(images_below(context, prefix))
    return [row.id for row in rows if row.id not in there]
