"""Unblurred frames have a lifetime: what raw/ holds is gone after it, detected or not."""

from __future__ import annotations

from datetime import timedelta
from itertools import groupby

from pipeline import keys
from pipeline.logs import get_logger
from pipeline.records import ImageState
from services.maintenance.context import MaintenanceContext, left_for_the_next_sweep

log = get_logger(__name__)


def expire_frames(context: MaintenanceContext) -> None:
    """Frames past their lifetime, and what a killed process left of those already detected."""
    lifetime = timedelta(hours=context.settings.raw_lifetime_h)
    late = 0
    for image_id, state in states_below(context, keys.FRAMES).items():
        age = context.clock() - keys.captured_at(image_id)
        detected = state is ImageState.DETECTED
        if age >= lifetime or (detected and context.store.exists(keys.detections(image_id))):
            with left_for_the_next_sweep(image_id):
                _remove_frame(context, image_id)
        elif age >= lifetime / 2 and state in {ImageState.STORED, ImageState.AWAITING_MODEL}:
            late += 1
    if late:
        log.warning("frames near the end of their lifetime wait for detection", frames=late)


def _remove_frame(context: MaintenanceContext, image_id: str) -> None:
    if not context.store.exists(keys.detections(image_id)):  # whatever its row says yet
        reason = f"not detected within {context.settings.raw_lifetime_h:g} h"
        if context.catalog.images.mark_undetected(image_id, reason, context.clock()):
            log.warning("frame expired undetected", image=image_id)
    context.store.delete(keys.frame(image_id))
    context.store.delete(keys.frame_mark(image_id))


def expire_dropped(context: MaintenanceContext) -> None:
    """Near-duplicates past their lifetime or beyond a camera's newest, and what a restore left."""
    lifetime = timedelta(hours=context.settings.raw_lifetime_h)
    states = states_below(context, keys.DROPPED)
    for _, images in groupby(states, key=keys.source_of):
        newest_first = sorted(images, key=keys.captured_at, reverse=True)
        for place, image_id in enumerate(newest_first):
            age = context.clock() - keys.captured_at(image_id)
            surplus = place >= context.settings.dropped_per_camera
            restored = states[image_id] in {ImageState.STORED, ImageState.DETECTED}
            if surplus or age >= lifetime or restored:
                with left_for_the_next_sweep(image_id):
                    _remove_dropped(context, image_id)


def _remove_dropped(context: MaintenanceContext, image_id: str) -> None:
    context.store.delete(keys.dropped(image_id))
    context.store.delete(keys.dropped_mark(image_id))
    context.catalog.images.mark_expired(image_id, context.clock())


def states_below(context: MaintenanceContext, prefix: str) -> dict[str, ImageState | None]:
    """The images below a prefix, in the order of their keys, and their rows' states."""
    listed = images_below(context, prefix)
    known = context.catalog.images.states(listed)
    return {image_id: known.get(image_id) for image_id in listed}


def images_below(context: MaintenanceContext, prefix: str) -> list[str]:
    """The ids below a prefix, each once, in the order of their keys; what is no image's is not."""
    listed = dict.fromkeys(keys.image_of(entry.key) for entry in context.store.list(prefix))
    return [image for image in listed if keys.is_image_id(image)]
