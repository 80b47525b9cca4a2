"""Unblurred frames have a lifetime: what raw/ holds is gone after it, detected or not."""

from __future__ import annotations

from datetime import timedelta
from itertools import groupby

from pipeline import keys
from pipeline.logs import get_logger
from pipeline.records import ImageState
from services.maintenance.context import MaintenanceContext

log = get_logger(__name__)


def expire_frames(context: MaintenanceContext) -> None:
    """Frames past their lifetime, and what a killed process left of those already detected."""
    lifetime = timedelta(hours=context.settings.raw_lifetime_h)
    late = 0
    for image_id in images_below(context, keys.FRAMES):
        age = context.clock() - keys.captured_at(image_id)
        if age >= lifetime or _is_leftover(context, image_id):
            _remove_frame(context, image_id)
        elif age >= lifetime / 2:
            late += 1
    if late:
        log.warning("frames near the end of their lifetime wait for detection", frames=late)


def _remove_frame(context: MaintenanceContext, image_id: str) -> None:
    context.store.delete(keys.frame(image_id))
    context.store.delete(keys.frame_mark(image_id))
    reason = f"not detected within {context.settings.raw_lifetime_h:g} h"
    if context.catalog.images.mark_expired(image_id, reason, context.clock()):
        log.warning("frame expired undetected", image=image_id)


def _is_leftover(context: MaintenanceContext, image_id: str) -> bool:
    row = context.catalog.images.get(image_id)
    return (
        row is not None
        and row.state == ImageState.DETECTED
        and context.store.exists(keys.detections(image_id))
    )


def expire_dropped(context: MaintenanceContext) -> None:
    """Near-duplicates past their lifetime or beyond a camera's newest, and what a restore left."""
    lifetime = timedelta(hours=context.settings.raw_lifetime_h)
    listed = images_below(context, keys.DROPPED)
    for _, images in groupby(listed, key=keys.source_of):
        newest_first = sorted(images, key=keys.captured_at, reverse=True)
        for place, image_id in enumerate(newest_first):
            age = context.clock() - keys.captured_at(image_id)
            surplus = place >= context.settings.dropped_per_camera
            if surplus or age >= lifetime or _is_restored(context, image_id):
                _remove_dropped(context, image_id)


def _remove_dropped(context: MaintenanceContext, image_id: str) -> None:
    context.store.delete(keys.dropped(image_id))
    context.store.delete(keys.dropped_mark(image_id))
    row = context.catalog.images.get(image_id)
    if row is not None and row.state == ImageState.DROPPED:
        context.catalog.images.mark_expired(image_id, row.reason, context.clock())


def _is_restored(context: MaintenanceContext, image_id: str) -> bool:
    row = context.catalog.images.get(image_id)
    return row is not None and row.state in {ImageState.STORED, ImageState.DETECTED}


def images_below(context: MaintenanceContext, prefix: str) -> list[str]:
    """The ids below a prefix, each once, in the order of their keys."""
    return list(dict.fromkeys(keys.image_of(entry.key) for entry in context.store.list(prefix)))
