"""The catalog made anew from the object store, which is the truth.

Precedence: tombstone, detections, frame, dropped; of two marks for one pair of source and bytes,
the lowest id wins. Annotations have the row of their newest revision, and their images the labeling
task that it came from; a task without any is found again by comparing with Label Studio.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from pipeline import keys
from pipeline.annotations import Annotation
from pipeline.cadence import first_due
from pipeline.catalog import Catalog
from pipeline.catalog.images import Found, NewImage
from pipeline.catalog.labeling.tasks import Considered
from pipeline.frames import mark_dropped, mark_stored
from pipeline.looks import write_safe_look
from pipeline.records import Camera, Detections, ImageState, Provenance, Tombstone
from pipeline.storage import ObjectStore

Progress = Callable[[str], None]


@dataclass
class Rebuilt:
    cameras: int = 0
    tombstones: int = 0
    detected: int = 0
    stored: int = 0
    dropped: int = 0
    annotations: int = 0
    ignored: int = 0


def rebuild_catalog(
    catalog: Catalog, store: ObjectStore, now: datetime, progress: Progress
) -> Rebuilt:
    """Fill an empty catalog; `progress` is called with every key read."""
    filling = _Filling(catalog, now)
    for prefix, take in (
        (keys.SOURCES, filling.take_camera),
        (keys.TOMBSTONES, filling.take_tombstone),
        (keys.DETECTIONS, filling.take_detections),
        (keys.FRAMES, filling.take_frame),
        (keys.DROPPED, filling.take_dropped),
        (keys.ANNOTATIONS, filling.take_annotation),
    ):
        for data in _read(store, prefix, progress):
            take(data)
    filling.adopt_tasks()
    filling.rebuilt.annotations = sum(catalog.annotations.count_by_status().values())
    return filling.rebuilt


class _Filling:
    """Takes object after object in order of precedence: who comes first has the row."""

    def __init__(self, catalog: Catalog, now: datetime) -> None:
        self.rebuilt = Rebuilt()
        self._catalog, self._now = catalog, now
        self._erased: set[tuple[str, str]] = set()
        self._erased_ids: set[str] = set()
        self._tasks: dict[str, set[tuple[int, str]]] = {}  # by project, each with its image

    def take_camera(self, data: bytes) -> None:
        camera = Camera.model_validate_json(data)
        self._catalog.cameras.save(camera, first_due(camera, self._now))
        self.rebuilt.cameras += 1

    def take_tombstone(self, data: bytes) -> None:
        tombstone = Tombstone.model_validate_json(data)
        self._catalog.tombstones.add(tombstone, repeat_until=self._now)
        self._erased.add((tombstone.source, tombstone.sha256_received))
        self._erased_ids.add(tombstone.id)
        self.rebuilt.tombstones += 1

    def take_detections(self, data: bytes) -> None:
        result = Detections.model_validate_json(data)
        if self._begins(result.provenance):
            mark_stored(self._catalog, result.provenance, self._now)
            found = Found.summary_of(result, write_safe_look(result))
            self._catalog.images.mark_detected(result.provenance.id, found)
            self.rebuilt.detected += 1

    def take_frame(self, data: bytes) -> None:
        provenance = Provenance.model_validate_json(data)
        if self._begins(provenance):
            self.rebuilt.stored += mark_stored(self._catalog, provenance, self._now)

    def take_dropped(self, data: bytes) -> None:
        provenance = Provenance.model_validate_json(data)
        if self._begins(provenance):
            self.rebuilt.dropped += mark_dropped(self._catalog, provenance)

    def take_annotation(self, data: bytes) -> None:
        annotation = Annotation.model_validate_json(data)
        image, origin = annotation.image, annotation.origin
        if image in self._erased_ids or not keys.is_image_id(image):
            self.rebuilt.ignored += 1
            return
        self._catalog.annotations.record(annotation)
        if origin.task is not None:
            self._tasks.setdefault(origin.project, set()).add((origin.task, image))

    def adopt_tasks(self) -> None:
        """A task in which all was deleted counts as gone: it is not sent again, and found again
        where it is there."""
        for project, tasks in self._tasks.items():
            standing = set(self._catalog.annotations.tasks(project))
            gone = sorted(tasks - standing)
            self._adopt(project, gone)
            self._catalog.labeling.mark_gone(project, [task for task, _ in gone], self._now)
            self._adopt(project, sorted(standing))

    def _adopt(self, project: str, tasks: Iterable[tuple[int, str]]) -> None:
        for task, image in tasks:
            about = Considered(image, keys.source_of(image), keys.day_of(image))
            self._catalog.labeling.adopt(project, about, task, self._now)

    def _begins(self, provenance: Provenance) -> bool:
        """Whether the pair of source and bytes is this image's, and has no row yet."""
        pair = (provenance.source, provenance.sha256_received)
        new = NewImage(provenance.id, *pair, provenance.captured_at)
        if pair not in self._erased:
            row = self._catalog.images.begin(new, provenance.captured_at)
            if row.id == provenance.id and row.state == ImageState.STORING:
                return True
        self.rebuilt.ignored += 1
        return False


def _read(store: ObjectStore, prefix: str, progress: Progress) -> Iterator[bytes]:
    for entry in store.list(prefix):
        if entry.key.endswith(".json"):
            progress(entry.key)
            yield store.get(entry.key).data
