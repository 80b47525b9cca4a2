"""One image through detection, in the order of writes that loses nothing and doubles nothing.

Blur; encode; check; tombstone; image; detections JSON (the commit mark); row; raw deleted; message.
"""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from pipeline import keys
from pipeline.broker import Publish
from pipeline.catalog import Catalog
from pipeline.catalog.images import Found
from pipeline.errors import (
    CorruptModel,
    DeadlineMissed,
    ModelUnavailable,
    ObjectMissing,
    PermanentError,
    TransientError,
    UserError,
)
from pipeline.logs import get_logger
from pipeline.looks import hidden_regions, write_safe_look
from pipeline.messages import ImageDetected
from pipeline.novelty import find_shown
from pipeline.records import FACE, VEHICLES, BoundingBox, Detection, Detections, Policy, Provenance
from pipeline.storage import ObjectStore, StoredObject, put_json
from pipeline.thumbnails import thumbnail_array
from services.detection.anonymisation import Anonymised, anonymise
from services.detection.detector import DecodedImage, Detector
from services.detection.pixels import Pixels, decode_pixels, encode_jpeg, shrink_grey

CLAIM_S = 45
MODEL_AWAITED_S = 600
FACE_DETECTOR = "yunet"

log = get_logger(__name__)


@dataclass(frozen=True)
class DetectionContext:
    """`detectors` gives the named detectors: see registry.build_detectors."""

    catalog: Catalog
    store: ObjectStore
    publish: Publish
    detectors: Callable[[Sequence[str]], Sequence[Detector]]
    clock: Callable[[], datetime]
    deadline_s: float


def detect_image(context: DetectionContext, image_id: str) -> None:
    """Detect, anonymise and store an image that lies in raw/; may be repeated, and run twice.

    Raises TransientError when it should be tried again.
    """
    if context.store.exists(keys.tombstone(image_id)):
        log.info("not detected: erased")
        return
    if context.store.exists(keys.detections(image_id)):
        finish(context, image_id)
        return
    token, now = uuid.uuid4().hex, context.clock()
    work = context.catalog.work
    if work.claim(image_id, token, now, now + timedelta(seconds=CLAIM_S)):
        _attempt(context, image_id, token)
    elif work.quarantine(image_id, None, "its workers died or missed their deadline", now):
        log.error("quarantined", reason="attempts used up")


def _attempt(context: DetectionContext, image_id: str, token: str) -> None:
    work, now = context.catalog.work, context.clock()
    try:
        _detect_and_store(context, image_id)
    except (ModelUnavailable, CorruptModel) as error:  # no fault of the image's
        again = now + timedelta(seconds=MODEL_AWAITED_S)
        work.await_model(image_id, token, str(error), again)
        log.warning("awaiting a model", reason=str(error))
    except TransientError:
        work.give_back(image_id, token, counted=False)
        raise
    except (PermanentError, UserError) as error:
        if work.quarantine(image_id, token, f"{type(error).__name__}: {error}", now):
            log.error("quarantined", reason=str(error))
    except DeadlineMissed as error:
        work.give_back(image_id, token, counted=True)
        log.error("deadline missed", reason=str(error))
    else:
        finish(context, image_id)


def finish(context: DetectionContext, image_id: str) -> None:
    """What follows the commit mark: the row, the raw frame's end, the message."""
    if context.store.exists(keys.tombstone(image_id)):
        # Erased between our look and our put: take back what we wrote.
        for key in keys.every_object(image_id):
            context.store.delete(key)
        return
    try:
        text = context.store.get(keys.detections(image_id)).data
    except ObjectMissing:
        return  # erased meanwhile
    result = Detections.model_validate_json(text)
    found = Found.summary_of(result, write_safe_look(result))
    context.catalog.images.mark_detected(image_id, found)
    context.store.delete(keys.frame(image_id))
    context.store.delete(keys.frame_mark(image_id))
    context.publish(ImageDetected(image=image_id))
    log.info("detected", faces=result.count(FACE), vehicles=result.count(*VEHICLES))


def _detect_and_store(context: DetectionContext, image_id: str) -> None:
    ends_at = time.monotonic() + context.deadline_s
    mark = context.store.get(keys.frame_mark(image_id)).data
    provenance = Provenance.model_validate_json(mark)
    data = context.store.get(keys.frame(image_id)).data
    detectors = context.detectors(_names(provenance))
    image = DecodedImage(decode_pixels(data), provenance.thumbnail, provenance.previous_thumbnail)
    found = _look(detectors, image, ends_at)
    safe = _make_safe(provenance.policy, detectors, image.pixels, found, ends_at)
    if context.store.exists(keys.tombstone(image_id)):
        return
    height, width = image.pixels.shape[:2]
    result = Detections(
        provenance=_without_faces(provenance, safe),
        detections=found,
        models=tuple(detector.identity for detector in detectors),
        detected_at=context.clock(),
        sha256_stored=hashlib.sha256(safe.jpeg).hexdigest(),
        bytes_stored=len(safe.jpeg),
        width=width,
        height=height,
        blurred=safe.blurred,
        blurred_boxes=safe.faces,
        rounds=safe.rounds,
    )
    context.store.put(keys.stored_image(image_id), StoredObject(safe.jpeg, "image/jpeg"))
    put_json(context.store, keys.detections(image_id), result.model_dump_json(indent=1))


def _without_faces(provenance: Provenance, safe: Anonymised) -> Provenance:
    """Thumbnails are pictures too: where a face was, the frame's shows what is stored instead."""
    if provenance.policy is Policy.KEEP:
        return provenance
    before = provenance.thumbnail
    height, width = safe.pixels.shape[:2]
    shown = find_shown(before, hidden_regions(safe.faces, width, height))
    after = np.where(shown, thumbnail_array(before), shrink_grey(safe.pixels, before))
    thumbnail = before.model_copy(update={"pixels": after.astype(np.uint8).tobytes()})
    return provenance.model_copy(update={"thumbnail": thumbnail, "previous_thumbnail": None})


def _names(provenance: Provenance) -> Sequence[str]:
    """The camera's detectors; a policy that promises no faces needs the one that finds them."""
    if provenance.policy is Policy.KEEP or FACE_DETECTOR in provenance.detectors:
        return provenance.detectors
    return (FACE_DETECTOR, *provenance.detectors)


def _look(
    detectors: Sequence[Detector], image: DecodedImage, ends_at: float
) -> tuple[Detection, ...]:
    found: list[Detection] = []
    for detector in detectors:
        _check_deadline(ends_at, detector.name)
        found.extend(detector.detect([image])[0])
    return tuple(found)


def _make_safe(
    policy: Policy,
    detectors: Sequence[Detector],
    pixels: Pixels,
    found: Sequence[Detection],
    ends_at: float,
) -> Anonymised:
    """The picture as it may be stored: NotAnonymised rather than one with a face."""
    if policy is Policy.KEEP:
        return Anonymised(encode_jpeg(pixels), pixels, faces=(), rounds=0)
    trusted = [detector for detector in detectors if detector.finds_faces]
    if not trusted:
        raise ModelUnavailable("no detector here finds faces well enough to anonymise")

    def find_faces(stored: Pixels) -> list[BoundingBox]:
        seen = _look(trusted, DecodedImage(stored), ends_at)
        return [one.box for one in seen if one.label == FACE]

    faces = [one.box for one in found if one.label == FACE]  # whoever found them
    return anonymise(pixels, faces, find_faces)


def _check_deadline(ends_at: float, before: str) -> None:
    if time.monotonic() > ends_at:
        raise DeadlineMissed(f"no time left before {before}")
