"""The catalog held against the object store: what one has and the other has not. Read-only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from pipeline import keys
from pipeline.catalog import Catalog
from pipeline.catalog.images import ImageFilter
from pipeline.records import ImageState
from pipeline.storage import ObjectStore

_IN_RAW = (ImageState.STORED, ImageState.AWAITING_MODEL, ImageState.QUARANTINED)


class Mismatch(StrEnum):
    """What may be wrong with an image; a pipeline at work passes through some for moments."""

    IMAGE_MISSING = "detected, but its image is gone"
    DETECTIONS_MISSING = "detected, but its detections are gone"
    FRAME_MISSING = "not detected yet, but its frame is gone from raw/"
    DROPPED_MISSING = "restorable, but its bytes are gone from raw/dropped/"
    IMAGE_WITHOUT_MARK = "an image without detections"
    MARK_WITHOUT_IMAGE = "detections without an image"
    FRAME_WITHOUT_MARK = "a frame without provenance"
    MARK_WITHOUT_FRAME = "provenance without a frame"
    WITHOUT_ROW = "in the object store, but not in the catalog"
    FRAME_LEFT = "detected, but its frame is still in raw/"
    ERASED_BUT_LEFT = "erased, but not all of it"
    NOT_OURS = "an object whose name is no image's"


@dataclass(frozen=True)
class Audit:
    """`counts` says how much there is, by prefix and by state; `found` what is wrong, as ids."""

    counts: Mapping[str, int]
    found: Mapping[Mismatch, tuple[str, ...]]

    @property
    def is_sound(self) -> bool:
        return not self.found

    def also_in(self, later: Audit) -> Audit:
        """What both saw: beside a live pipeline, one look alone sees work that is under way."""
        both = {
            kind: tuple(sorted(set(ids) & set(later.found.get(kind, ()))))
            for kind, ids in self.found.items()
        }
        return Audit(later.counts, {kind: ids for kind, ids in both.items() if ids})


@dataclass(frozen=True)
class _Listed:
    """The ids below one prefix: with bytes, with a mark, and the keys that are no image's."""

    bytes_of: frozenset[str]
    marks_of: frozenset[str]
    others: frozenset[str]

    @property
    def ids(self) -> frozenset[str]:
        return self.bytes_of | self.marks_of


def audit(catalog: Catalog, store: ObjectStore) -> Audit:
    """Raises TransientError when the catalog or the store does not answer."""
    frames, dropped = _list_ids(store, keys.FRAMES), _list_ids(store, keys.DROPPED)
    detections, images = _list_ids(store, keys.DETECTIONS), _list_ids(store, keys.IMAGES)
    erased = {keys.image_of(entry.key) for entry in store.list(keys.TOMBSTONES)}
    done = _Listed(images.bytes_of, detections.marks_of, images.others | detections.others)
    rows = {row.id: row.state for row in catalog.images.search(ImageFilter(limit=None))}
    found = {
        **_audit_rows(rows, done, frames, dropped),
        **_audit_objects(rows, done, frames, dropped),
        Mismatch.ERASED_BUT_LEFT: erased & (done.ids | frames.ids | dropped.ids | set(rows)),
        Mismatch.NOT_OURS: done.others | frames.others | dropped.others,
    }
    counts = {
        keys.FRAMES: len(frames.ids),
        keys.DROPPED: len(dropped.ids),
        keys.IMAGES: len(done.bytes_of),
        keys.DETECTIONS: len(done.marks_of),
        keys.TOMBSTONES: len(erased),
        **{state.value: sum(one == state for one in rows.values()) for state in ImageState},
    }
    return Audit(counts, {kind: tuple(sorted(ids)) for kind, ids in found.items() if ids})


def _audit_rows(
    rows: Mapping[str, str], done: _Listed, frames: _Listed, dropped: _Listed
) -> dict[Mismatch, Iterable[str]]:
    """What a row promises, and the store has not."""
    detected = _in_state(rows, ImageState.DETECTED)
    raw = frames.bytes_of & frames.marks_of
    return {
        Mismatch.IMAGE_MISSING: detected - done.bytes_of,
        Mismatch.DETECTIONS_MISSING: detected - done.marks_of,
        Mismatch.FRAME_MISSING: _in_state(rows, *_IN_RAW) - raw,
        Mismatch.DROPPED_MISSING: _in_state(rows, ImageState.DROPPED)
        - (dropped.bytes_of & dropped.marks_of),
        Mismatch.FRAME_LEFT: detected & frames.ids,
    }


def _audit_objects(
    rows: Mapping[str, str], done: _Listed, frames: _Listed, dropped: _Listed
) -> dict[Mismatch, Iterable[str]]:
    """What lies in the store without its mark, its bytes or its row."""
    storing = _in_state(rows, ImageState.STORING)  # its mark comes next
    return {
        Mismatch.IMAGE_WITHOUT_MARK: done.bytes_of - done.marks_of,
        Mismatch.MARK_WITHOUT_IMAGE: done.marks_of - done.bytes_of,
        Mismatch.FRAME_WITHOUT_MARK: (frames.bytes_of - frames.marks_of - storing)
        | (dropped.bytes_of - dropped.marks_of - storing),
        Mismatch.MARK_WITHOUT_FRAME: (frames.marks_of - frames.bytes_of)
        | (dropped.marks_of - dropped.bytes_of),
        Mismatch.WITHOUT_ROW: (done.ids | frames.ids | dropped.ids) - set(rows),
    }


def _in_state(rows: Mapping[str, str], *states: ImageState) -> set[str]:
    return {image for image, state in rows.items() if state in states}


def _list_ids(store: ObjectStore, prefix: str) -> _Listed:
    with_bytes, with_mark, others = set(), set(), set()
    for entry in store.list(prefix):
        image = keys.image_of(entry.key)
        if not keys.is_image_id(image):
            others.add(entry.key)
        elif entry.key.endswith(".json"):
            with_mark.add(image)
        else:
            with_bytes.add(image)
    return _Listed(frozenset(with_bytes), frozenset(with_mark), frozenset(others))
