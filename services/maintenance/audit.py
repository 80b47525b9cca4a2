"""The catalog held against the object store: what one has and the other has not. Read-only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum

from pipeline import keys
from pipeline.catalog import Catalog
from pipeline.catalog.images import ImageFilter
from pipeline.records import ImageState
from pipeline.storage import ObjectStore
from services.maintenance.listing import (
    Listed,
    ListedAnnotations,
    Revision,
    list_annotations,
    list_ids,
)

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
    ANNOTATION_MISSING = "annotated, but what was said last is gone from annotations/"
    ANNOTATION_WITHOUT_ROW = "annotated, but the catalog does not show what was said last"
    ANNOTATION_WITHOUT_IMAGE = "annotated, but there is no such image"
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


def audit(catalog: Catalog, store: ObjectStore) -> Audit:
    """Raises TransientError when the catalog or the store does not answer."""
    frames, dropped = list_ids(store, keys.FRAMES), list_ids(store, keys.DROPPED)
    detections, images = list_ids(store, keys.DETECTIONS), list_ids(store, keys.IMAGES)
    erased = {keys.image_of(entry.key) for entry in store.list(keys.TOMBSTONES)}
    done = Listed(images.bytes_of, detections.marks_of, images.others | detections.others)
    rows = {row.id: row.state for row in catalog.images.search(ImageFilter(limit=None))}
    said, shown = list_annotations(store), set(catalog.annotations.revisions())
    known = done.ids | frames.ids | dropped.ids | set(rows)
    spoken_of = {image for image, _ in said.revisions | shown}
    left = known | spoken_of | catalog.labeling.with_row(erased)
    found = {
        **_audit_rows(rows, done, frames, dropped),
        **_audit_objects(rows, done, frames, dropped),
        **_audit_annotations(said, shown),
        Mismatch.ANNOTATION_WITHOUT_IMAGE: spoken_of - known - erased,
        Mismatch.ERASED_BUT_LEFT: erased & left,
        Mismatch.NOT_OURS: done.others | frames.others | dropped.others | said.others,
    }
    counts = {
        keys.FRAMES: len(frames.ids),
        keys.DROPPED: len(dropped.ids),
        keys.IMAGES: len(done.bytes_of),
        keys.DETECTIONS: len(done.marks_of),
        keys.TOMBSTONES: len(erased),
        keys.ANNOTATIONS: len(said.revisions),
        **{state.value: sum(one == state for one in rows.values()) for state in ImageState},
    }
    return Audit(counts, {kind: tuple(sorted(ids)) for kind, ids in found.items() if ids})


def _audit_rows(
    rows: Mapping[str, str], done: Listed, frames: Listed, dropped: Listed
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
    rows: Mapping[str, str], done: Listed, frames: Listed, dropped: Listed
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


def _audit_annotations(
    said: ListedAnnotations, shown: AbstractSet[Revision]
) -> dict[Mismatch, Iterable[str]]:
    """A row shows the newest revision of its annotation; of an image's annotations, one has the
    newest of them all."""
    return {
        Mismatch.ANNOTATION_MISSING: {image for image, _ in shown - said.revisions},
        Mismatch.ANNOTATION_WITHOUT_ROW: {image for image, _ in said.newest - shown},
    }


def _in_state(rows: Mapping[str, str], *states: ImageState) -> set[str]:
    return {image for image, state in rows.items() if state in states}
