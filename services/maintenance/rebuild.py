"""The catalog made anew from the object store, which is the truth.

Precedence: tombstone, detections, frame, dropped; of two marks for one pair of source and bytes,
the lowest id wins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from pipeline import keys
from pipeline.cadence import first_due
from pipeline.catalog import Catalog
from pipeline.catalog.images import Found, NewImage
from pipeline.ingest import mark_dropped, mark_stored
from pipeline.records import Camera, Detections, Provenance, Tombstone
from pipeline.storage import ObjectStore

Progress = Callable[[str], None]


@dataclass
class Rebuilt:
    cameras: int = 0
    tombstones: int = 0
    detected: int = 0
    stored: int = 0
    dropped: int = 0
    ignored: int = 0


def rebuild_catalog(
    catalog: Catalog, store: ObjectStore, now: datetime, progress: Progress
) -> Rebuilt:
    """Fill an empty catalog; `progress` is called with every key read."""
    rebuilt = Rebuilt()
    for data in _read(store, keys.SOURCES, progress):
        camera = Camera.model_validate_json(data)
        catalog.cameras.save(camera, first_due(camera, now))
        rebuilt.cameras += 1
    erased = set()
    for data in _read(store, keys.TOMBSTONES, progress):
        tombstone = Tombstone.model_validate_json(data)
        catalog.tombstones.add(tombstone, repeat_until=now)
        erased.add(tombstone.id)
        rebuilt.tombstones += 1
    for data in _read(store, keys.DETECTIONS, progress):
        result = Detections.model_validate_json(data)
        if result.provenance.id not in erased and _begin(catalog, result.provenance):
            mark_stored(catalog, result.provenance, now)
            catalog.images.mark_detected(result.provenance.id, Found.summary_of(result))
            rebuilt.detected += 1
        else:
            rebuilt.ignored += 1
    for data in _read(store, keys.FRAMES, progress):
        provenance = Provenance.model_validate_json(data)
        if provenance.id not in erased and _begin(catalog, provenance):
            rebuilt.stored += mark_stored(catalog, provenance, now)
        else:
            rebuilt.ignored += 1
    for data in _read(store, keys.DROPPED, progress):
        provenance = Provenance.model_validate_json(data)
        if provenance.id not in erased and _begin(catalog, provenance):
            rebuilt.dropped += mark_dropped(catalog, provenance)
        else:
            rebuilt.ignored += 1
    return rebuilt


def _begin(catalog: Catalog, provenance: Provenance) -> bool:
    """Whether the pair of source and bytes is this image's, which has no row yet."""
    new = NewImage(
        id=provenance.id,
        source=provenance.source,
        sha256_received=provenance.sha256_received,
        captured_at=provenance.captured_at,
    )
    row = catalog.images.begin(new, provenance.captured_at)
    return row.id == provenance.id and row.state == "storing"


def _read(store: ObjectStore, prefix: str, progress: Progress) -> Iterator[bytes]:
    for entry in store.list(prefix):
        if entry.key.endswith(".json"):
            progress(entry.key)
            yield store.get(entry.key).data
