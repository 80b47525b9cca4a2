"""Is a frame worth keeping? A list of steps in order of cost; the first that says no decides."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pipeline.catalog import Catalog
from pipeline.decoding import (
    DecodeLimits,
    Header,
    measure_conditions,
    read_header,
    reduced_grey,
)
from pipeline.errors import UnreadableImage
from pipeline.hashing import perceptual_hash, sha256_of
from pipeline.looks import Look, read_look
from pipeline.novelty import find_near_duplicate
from pipeline.records import Camera, Outcome, Thumbnail
from pipeline.thumbnails import thumbnail


@dataclass(frozen=True)
class Received:
    """What a source sent, and when."""

    camera: Camera
    at: datetime
    url: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    not_modified: bool = False


@dataclass(frozen=True)
class Verdict:
    outcome: Outcome
    reason: str = ""
    resembles: str | None = None


@dataclass
class Candidate:
    """A frame on its way through the steps, and what they found out about it."""

    received: Received
    sha256: str = ""
    header: Header | None = None
    look: Look | None = None
    previous: Thumbnail | None = None


@dataclass(frozen=True)
class Admission:
    """The steps' shared means."""

    catalog: Catalog
    limits: DecodeLimits = field(default_factory=DecodeLimits)

    def judge(self, received: Received) -> tuple[Verdict, Candidate]:
        """KEPT, or why not; stores nothing."""
        candidate = Candidate(received)
        for step in STEPS:
            verdict = step(self, candidate)
            if verdict is not None:
                return verdict, candidate
        return Verdict(Outcome.KEPT), candidate

    def recent_looks(self, source: str) -> Sequence[Look]:
        rows = self.catalog.images.recent_looks(source)
        return [read_look(row.id, row.look or {}) for row in rows]


def not_modified(admission: Admission, candidate: Candidate) -> Verdict | None:
    if candidate.received.not_modified:
        return Verdict(Outcome.NOT_MODIFIED, "the server says it has not changed")
    return None


def same_bytes(admission: Admission, candidate: Candidate) -> Verdict | None:
    received = candidate.received
    candidate.sha256 = sha256_of(received.body)
    same = admission.catalog.images.same_bytes(received.camera.id, candidate.sha256)
    if same is None:
        return None
    return Verdict(Outcome.SAME_BYTES, "the very bytes of a frame we had before", same.id)


def erased(admission: Admission, candidate: Candidate) -> Verdict | None:
    tombstones = admission.catalog.tombstones
    image = tombstones.erased(candidate.received.camera.id, candidate.sha256)
    return None if image is None else Verdict(Outcome.ERASED, "erased by a person", image)


def placeholder(admission: Admission, candidate: Candidate) -> Verdict | None:
    if candidate.sha256 in candidate.received.camera.placeholder_sha256:
        return Verdict(Outcome.PLACEHOLDER, "the feed's picture for a camera that is down")
    return None


def unreadable(admission: Admission, candidate: Candidate) -> Verdict | None:
    try:
        candidate.header = read_header(candidate.received.body, admission.limits)
    except UnreadableImage as error:
        return Verdict(error.outcome, error.reason)
    return None


def truncated(admission: Admission, candidate: Candidate) -> Verdict | None:
    header = candidate.header
    if header is None or not header.truncated or candidate.received.camera.keep_truncated:
        return None
    return Verdict(Outcome.TRUNCATED, "the image's end is missing")


def near_duplicate(admission: Admission, candidate: Candidate) -> Verdict | None:
    received, header = candidate.received, candidate.header
    if header is None:
        raise TypeError("near_duplicate comes after unreadable")
    try:
        grey = reduced_grey(received.body, header)
    except UnreadableImage as error:
        return Verdict(error.outcome, error.reason)
    look = candidate.look = Look(
        image_id="",
        phash=perceptual_hash(grey),
        thumbnail=thumbnail(grey),
        conditions=measure_conditions(grey),
    )
    recent = admission.recent_looks(received.camera.id)
    candidate.previous = recent[0].thumbnail if recent else None
    like = find_near_duplicate(look, recent, received.camera.near_duplicate_distance)
    if like is None:
        return None
    return Verdict(Outcome.NEAR_DUPLICATE, like.reason, like.image_id)


Step = Callable[[Admission, Candidate], Verdict | None]

STEPS: tuple[Step, ...] = (
    not_modified,
    same_bytes,
    erased,
    placeholder,
    unreadable,
    truncated,
    near_duplicate,
)
