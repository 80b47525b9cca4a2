"""How each feed of cameras is: what it gave when it was last asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pipeline.catalog import Catalog
from pipeline.catalog.tables import FeedRow
from services.scheduler.settings import SchedulerSettings
from traboule.durations import format_roughly

LATE_AFTER_S = 60.0  # the scheduler looks every few seconds which feeds are due


@dataclass(frozen=True)
class FeedStatus:
    """`cameras` were listed at `found_at`; `reason` says why not since; `due_at` is None for one
    that was never asked."""

    id: str
    cameras: int
    found_at: datetime | None
    due_at: datetime | None
    failures: int
    reason: str

    def is_late(self, now: datetime) -> bool:
        return self.due_at is not None and (now - self.due_at).total_seconds() > LATE_AFTER_S

    def tell(self, now: datetime) -> str:
        if self.found_at is None and not self.reason:
            return "not asked yet"
        told = [self.reason] if self.reason else []
        if self.found_at is not None:
            ago_s = max(0.0, (now - self.found_at).total_seconds())
            told.append(f"{self.cameras} cameras, listed {format_roughly(ago_s)} ago")
        return "; ".join(told)


def read_feeds(catalog: Catalog) -> tuple[FeedStatus, ...]:
    """Those of the catalog that a scheduler asks, or may have asked, and those it is told to."""
    rows = {row.id: row for row in catalog.feeds.all()}
    asked = [feed for feed, row in rows.items() if row.found_at is not None or row.reason]
    wanted = dict.fromkeys([*SchedulerSettings().feeds, *asked])
    return tuple(_describe(feed, rows.get(feed)) for feed in wanted)


def are_late(feeds: Sequence[FeedStatus], now: datetime) -> bool:
    """Whether nobody seems to ask them."""
    return bool(feeds) and all(feed.due_at is None or feed.is_late(now) for feed in feeds)


def _describe(feed: str, row: FeedRow | None) -> FeedStatus:
    if row is None:
        return FeedStatus(feed, 0, None, None, 0, "")
    due_at = row.lease_until or row.due_at  # who asks now has until then
    return FeedStatus(feed, row.cameras, row.found_at, due_at, row.failures, row.reason)
