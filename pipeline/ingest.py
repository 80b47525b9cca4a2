"""A frame's way into the store, in the order of writes that loses nothing and doubles nothing.

Row `storing`; bytes; provenance beside them (the commit mark); row `stored`; message.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pipeline import keys
from pipeline.addresses import hide_secrets
from pipeline.admission import Admission, Candidate, Received, Verdict
from pipeline.broker import Publish
from pipeline.catalog import Catalog
from pipeline.catalog.images import NewImage
from pipeline.frames import announce, mark_dropped, mark_stored
from pipeline.records import Outcome, Provenance
from pipeline.storage import ObjectStore, StoredObject, put_json

_HEADERS_KEPT = ("content-type", "date", "etag", "last-modified", "server")


@dataclass(frozen=True)
class Result:
    outcome: Outcome
    reason: str = ""
    image: str | None = None
    resembles: str | None = None


@dataclass(frozen=True)
class Ingest:
    """Judges a frame, and stores what is kept or may be wanted back."""

    catalog: Catalog
    store: ObjectStore
    publish: Publish
    admission: Admission

    def take(self, received: Received) -> Result:
        """StorageError or CatalogError when it could not be stored: nothing is half-kept then."""
        verdict, candidate = self.admission.judge(received)
        if verdict.outcome is Outcome.KEPT:
            return self._keep(candidate)
        if verdict.outcome is Outcome.NEAR_DUPLICATE:
            return self._set_aside(candidate, verdict)
        return Result(verdict.outcome, verdict.reason, resembles=verdict.resembles)

    def _keep(self, candidate: Candidate) -> Result:
        provenance = self._begin(candidate, Verdict(Outcome.KEPT))
        self._write(keys.frame(provenance.id), provenance, candidate.received.body)
        mark_stored(self.catalog, provenance, candidate.received.at)
        announce(self.publish, provenance.id)
        return Result(Outcome.KEPT, image=provenance.id)

    def _set_aside(self, candidate: Candidate, verdict: Verdict) -> Result:
        provenance = self._begin(candidate, verdict)
        self._write(keys.dropped(provenance.id), provenance, candidate.received.body)
        mark_dropped(self.catalog, provenance)
        return Result(
            Outcome.NEAR_DUPLICATE, verdict.reason, provenance.id, resembles=verdict.resembles
        )

    def _begin(self, candidate: Candidate, verdict: Verdict) -> Provenance:
        received = candidate.received
        new = NewImage(
            id=keys.image_id(received.camera.id, received.at, candidate.sha256),
            source=received.camera.id,
            sha256_received=candidate.sha256,
            captured_at=received.at,
        )
        row = self.catalog.images.begin(new, received.at)
        return _provenance(row.id, row.captured_at, candidate, verdict)

    def _write(self, key: str, provenance: Provenance, body: bytes) -> None:
        self.store.put(key, StoredObject(body, provenance.content_type))
        put_json(self.store, f"{key}.json", provenance.model_dump_json(indent=1))


def _provenance(
    image_id: str, captured_at: datetime, candidate: Candidate, verdict: Verdict
) -> Provenance:
    received, header, look = candidate.received, candidate.header, candidate.look
    if header is None or look is None:
        raise TypeError("a frame is stored only after every step")
    camera = received.camera
    return Provenance(
        id=image_id,
        source=camera.id,
        captured_at=captured_at,
        url=hide_secrets(received.url),
        licence=camera.licence,
        attribution=camera.attribution,
        policy=camera.policy,
        detectors=camera.detectors,
        sha256_received=candidate.sha256,
        bytes_received=len(received.body),
        content_type=header.content_type,
        width=header.width,
        height=header.height,
        phash=look.phash,
        conditions=look.conditions,
        truncated=header.truncated,
        resembles=verdict.resembles,
        reason=verdict.reason,
        thumbnail=look.thumbnail,
        previous_thumbnail=candidate.previous,
        headers={
            name: received.headers[name] for name in _HEADERS_KEPT if name in received.headers
        },
    )
