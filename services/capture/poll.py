"""One poll of a camera: fetch, ingest, and how it ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from pipeline.fetch import Fetcher, Response, Validators

from pipeline.admission import Received
from pipeline.cadence import due_after_failure, next_due
from pipeline.catalog import Catalog
from pipeline.catalog.cameras import PollEnd
from pipeline.catalog.tables import CameraRow
from pipeline.errors import CatalogError, FetchError, StorageError
from pipeline.ingest import Ingest, Result
from pipeline.logs import get_logger
from pipeline.records import FAILURES, Camera, Outcome
from pipeline.storage import ObjectStore

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
    row = context.catalog.cameras.leased(camera_id, token, context.clock())
    if row is None:
        log.info("poll ignored: its lease is over")
        return None
    camera = Camera.model_validate(row.record)
    polled = _fetch_and_ingest(context, camera, Validators(row.etag, row.last_modified))
    context.catalog.cameras.finish(camera_id, token, _end(context.clock(), row, camera, polled))
    log.info("polled", outcome=polled.result.outcome.value, reason=polled.result.reason)
    return polled.result.outcome


def _fetch_and_ingest(context: CaptureContext, camera: Camera, known: Validators) -> Polled:
    free_bytes = context.store.free_bytes()
    if free_bytes is not None and free_bytes < context.min_free_bytes:
        needed, left = (f"{n / 1e6:.0f} MB" for n in (context.min_free_bytes, free_bytes))
        return Polled(Result(Outcome.DISK_LOW, f"{left} free, less than {needed}: make room"))
    try:
        response = context.fetcher.fetch(camera.url, known)
    except FetchError as error:
        return Polled(Result(error.outcome, error.reason), retry_after_s=error.retry_after_s)
    try:
        result = context.ingest.take(received_from(camera, response, context.clock()))
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
    headers = {} if response is None else response.headers
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
        etag=headers.get("etag", row.etag if response is None or response.not_modified else None),
        last_modified=headers.get(
            "last-modified",
            row.last_modified if response is None or response.not_modified else None,
        ),
    )
