"""Feeds asked for their cameras: new ones are taken up, known ones keep what a person has set."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from pipeline.catalog import Catalog
from pipeline.catalog.cameras import camera_of
from pipeline.catalog.feeds import FeedEnd
from pipeline.catalog.tables import FeedRow
from pipeline.errors import FetchError, TransientError, UserError
from pipeline.logs import get_logger
from pipeline.records import Camera, Outcome
from services.scheduler.feeds import OPTIONAL, find_feed
from services.scheduler.fetching import make_fetcher
from services.scheduler.sources import save_listed
from services.scheduler.tick import SchedulerContext

EVERY_S, EVERY_S_OF_OPTIONAL = 3600.0, 30.0
FIRST_RETRY_S, LAST_RETRY_S = 15.0, 600.0
LEASE_S = 60.0
NEXT_FEED_WITHIN_S = 5.0  # after that the next message, in another thread, goes on
TAKEN_UP_WITHIN_S = 25.0  # asked and saved: below a task's own limit, which threads ignore
NOT_RUNNING = "not running"

# What a person may have set, and keeps.
SETTINGS = (
    "policy",
    "every_s",
    "paused",
    "detectors",
    "near_duplicate_distance",
    "keep_truncated",
)

log = get_logger(__name__)


class Change(StrEnum):
    ADDED = "added"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    OTHER = "left alone: a camera by this id was added by hand or by another feed"
    REMOVED = "left alone: it was removed"


@dataclass(frozen=True)
class Discovered:
    """A listed camera as it is to be, and as it was when the catalog was asked."""

    camera: Camera
    change: Change
    before: Camera | None = None

    @property
    def is_to_save(self) -> bool:
        return self.change in (Change.ADDED, Change.UPDATED)


def compare(catalog: Catalog, camera: Camera, known: Sequence[str] = ()) -> Discovered:
    """What a listed camera is to the catalog, and as what it is to be saved, if it is.

    One of the `known` that is no longer there is not added again.
    """
    row = catalog.cameras.get(camera.id)
    if row is None:
        return Discovered(camera, Change.REMOVED if camera.id in known else Change.ADDED)
    present = camera_of(row)
    if present.feed != camera.feed:
        return Discovered(present, Change.OTHER, present)
    updated = camera.model_copy(update={name: getattr(present, name) for name in SETTINGS})
    change = Change.UNCHANGED if updated == present else Change.UPDATED
    return Discovered(updated, change, present)


def ask_due_feeds(context: SchedulerContext) -> None:
    """Any number of schedulers may: each feed is asked by one at a time."""
    began = context.clock()
    for feed in context.catalog.feeds.due(context.settings.feeds, began):
        now = context.clock()
        if now - began > timedelta(seconds=NEXT_FEED_WITHIN_S):
            return
        token, until = uuid.uuid4().hex, now + timedelta(seconds=LEASE_S)
        row = context.catalog.feeds.claim(feed, token, now, until)
        if row is not None:
            context.catalog.feeds.finish(feed, token, _ask(context, row))


def _ask(context: SchedulerContext, row: FeedRow) -> FeedEnd:
    ends_at = context.clock() + timedelta(seconds=TAKEN_UP_WITHIN_S)
    try:
        listed = find_feed(row.id, context.settings)(make_fetcher(context.settings))
        discovered = list(_take_up(context, listed, row.known, ends_at))
    except (TransientError, UserError) as error:
        return _describe_failure(context, row, error)
    changes = [one.change for one in discovered]
    added, updated = changes.count(Change.ADDED), changes.count(Change.UPDATED)
    if added or updated or row.reason:
        log.info("feed asked", feed=row.id, listed=len(listed), added=added, updated=updated)
    now = context.clock()
    return FeedEnd(
        at=now,
        due_at=now + timedelta(seconds=_every_s(row.id)),
        cameras=len(listed),
        taken_up=[one.camera.id for one in discovered if one.change is not Change.OTHER],
    )


def _take_up(
    context: SchedulerContext, listed: Sequence[Camera], known: Sequence[str], ends_at: datetime
) -> Iterator[Discovered]:
    """Save one after another what is new or has changed. What was saved before an error stays."""
    for camera in listed:
        yield _take_up_one(context, camera, known, ends_at)


def _take_up_one(
    context: SchedulerContext, camera: Camera, known: Sequence[str], ends_at: datetime
) -> Discovered:
    """Compared anew where a person changed or removed it between comparing and saving."""
    while True:
        found = compare(context.catalog, camera, known)
        if not found.is_to_save:
            return found
        now = context.clock()
        if now > ends_at:
            raise TransientError("there was no time to save all of its cameras")
        if save_listed(context.catalog, context.store, found.camera, found.before, now):
            return found
        known = [*known, camera.id]


def _describe_failure(
    context: SchedulerContext, row: FeedRow, error: TransientError | UserError
) -> FeedEnd:
    reason, now = str(error), context.clock()
    if row.id in OPTIONAL and _is_silence(error):
        log.debug("feed not there", feed=row.id, reason=reason)
        reason = NOT_RUNNING
    else:
        log.warning("feed failed", feed=row.id, reason=reason, failures=row.failures + 1)
    longest_s = min(LAST_RETRY_S, _every_s(row.id))
    retry_s = min(FIRST_RETRY_S * 2.0 ** min(row.failures, 16), longest_s)
    return FeedEnd(at=now, due_at=now + timedelta(seconds=retry_s), reason=reason)


def _is_silence(error: Exception) -> bool:
    """Whether there was no host at all, or none that said anything."""
    return isinstance(error, FetchError) and error.outcome in (
        Outcome.UNREACHABLE,
        Outcome.TIMED_OUT,
    )


def _every_s(feed: str) -> float:
    return EVERY_S_OF_OPTIONAL if feed in OPTIONAL else EVERY_S
