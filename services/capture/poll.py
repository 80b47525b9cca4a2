"""One poll of a camera: fetch, ingest, and how it ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from pipeline.admission import Received
from pipeline.cadence import due_after_failure, next_due
from pipeline.catalog import Catalog
from pipeline.catalog.cameras import PollEnd, camera_of
from pipeline.catalog.tables import CameraRow
from pipeline.errors import CatalogError, FetchError, StorageError
from pipeline.fetch import Fetcher, Response, Validators
from pipeline.ingest import Ingest, Result
from pipeline.logs import get_logger
from pipeline.records import FAILURES, Camera, Outcome
from pipeline.storage import ObjectStore

LEASE_S = 45

# A picture half-uploaded may be whole a moment later under the same validators: asked for again.
ANSWERS_TO_REMEMBER = frozenset(
    {
        Outcome.KEPT,
        Outcome.NOT_MODIFIED,
        Outcome.SAME_BYTES,
        Outcome.NEAR_DUPLICATE,
        Outcome.PLACEHOLDER,
        Outcome.ERASED,
    }
)

log = get_logger(__name__)


@dataclass(frozen=True)
class CaptureContext:
    catalog: Catalog
    store: ObjectStore
    fetcher: Fetcher
    ingest: Ingest
    min_free_bytes: int
    clock: Callable[[], datetime]


@dataclass(frozen=True)
class Polled:
    """A poll's result, the response if there was one, and when the server wants us back."""

    result: Result
    response: Response | None = None
    retry_after_s: float | None = None


def poll(context: CaptureContext, camera_id: str, token: str) -> Outcome | None:
    """Poll a camera whose lease is `token`'s; None when it no longer is, and nothing was done."""
    now = context.clock()
    until = now + timedelta(seconds=LEASE_S)
    row = context.catalog.cameras.begin_poll(camera_id, token, now, until)
    if row is None:
        log.info("poll ignored: its lease is over")
        return None
    camera = camera_of(row)
    polled = _fetch_and_ingest(context, camera, Validators(row.etag, row.last_modified))
    result = polled.result
    log.info("polled", outcome=result.outcome, reason=result.reason, image=result.image)
    _finish(context, camera_id, token, _end(context.clock(), row, camera, polled))
    return result.outcome


def _finish(context: CaptureContext, camera_id: str, token: str, end: PollEnd) -> None:
    """Not tried again with the whole poll: the lease runs out, and is counted."""
    try:
        if not context.catalog.cameras.finish(camera_id, token, end):
            log.warning("the poll took longer than its lease", outcome=end.outcome)
    except CatalogError as error:
        log.error("the poll's outcome is lost", outcome=end.outcome, reason=str(error))


def _fetch_and_ingest(context: CaptureContext, camera: Camera, known: Validators) -> Polled:
    try:
        free_bytes = context.store.free_bytes()
        if free_bytes is not None and free_bytes < context.min_free_bytes:
            needed, left = (f"{n / 1e6:.0f} MB" for n in (context.min_free_bytes, free_bytes))
            return Polled(Result(Outcome.DISK_LOW, f"{left} free, less than {needed}: make room"))
        response = context.fetcher.fetch(camera.url, known)
        result = context.ingest.take(received_from(camera, response, context.clock()))
    except FetchError as error:
        return Polled(Result(error.outcome, error.reason), retry_after_s=error.retry_after_s)
    except (StorageError, CatalogError) as error:
        return Polled(Result(Outcome.NOT_STORED, str(error)))
    return Polled(result, response)


def received_from(camera: Camera, response: Response, at: datetime) -> Received:
    return Received(
        camera=camera,
        at=at.replace(microsecond=0),  # as precise as an image's id
        url=response.url,
        body=response.body,
        headers=response.headers,
        not_modified=response.not_modified,
    )


def _end(now: datetime, row: CameraRow, camera: Camera, polled: Polled) -> PollEnd:
    result, response = polled.result, polled.response
    failed = result.outcome in FAILURES
    unasked = response is None or response.not_modified
    headers = response.headers if response and result.outcome in ANSWERS_TO_REMEMBER else {}
    return PollEnd(
        outcome=result.outcome,
        reason=result.reason,
        resembles=result.resembles,
        listed=result.image is not None,
        at=now,
        failed=failed,
        due_at=due_after_failure(camera, now, row.failures + 1, polled.retry_after_s)
        if failed
        else next_due(camera, now),
        etag=headers.get("etag", row.etag if unasked else None),
        last_modified=headers.get("last-modified", row.last_modified if unasked else None),
    )
