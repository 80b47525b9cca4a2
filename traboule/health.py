"""How a camera is doing, from its row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pipeline.catalog import Catalog
from pipeline.catalog.drops import DropFilter
from pipeline.catalog.tables import CameraRow
from pipeline.records import Outcome
from traboule.durations import format_roughly

LATE_AFTER_TURNS = 2.5  # turns lie half to one and a half intervals apart


# Longer than any lease: until then slots may be taken by polls that hang.
NOBODY_AFTER_S = 60.0


class Health(StrEnum):
    OK = "ok"
    FAILING = "failing"
    PLACEHOLDER = "placeholder"  # the feed says that the camera is down
    NO_ROOM = "no-room"
    PAUSED = "paused"
    NEVER_POLLED = "never-polled"


def judge(row: CameraRow) -> Health:
    if row.paused:
        return Health.PAUSED
    if row.polled_at is None:
        return Health.NEVER_POLLED
    if row.failures:
        return Health.FAILING
    special = {
        Outcome.DISK_LOW.value: Health.NO_ROOM,
        Outcome.PLACEHOLDER.value: Health.PLACEHOLDER,
    }
    return special.get(row.outcome or "", Health.OK)


def failing_since(catalog: Catalog, row: CameraRow) -> datetime | None:
    """When the failures in a row began: each has its line in the list of drops."""
    if not row.failures:
        return None
    listed = catalog.drops.search(DropFilter(camera=row.id, limit=min(row.failures, 1000)))
    return listed[-1].at if listed else row.polled_at


@dataclass(frozen=True)
class Lag:
    """How long ago a camera was polled, beside how often it should be."""

    age_s: float
    every_s: float

    @property
    def is_late(self) -> bool:
        return self.age_s > self.every_s * LATE_AFTER_TURNS


def measure_lag(row: CameraRow, every_s: float, now: datetime) -> Lag | None:
    """None for a camera that was never polled."""
    if row.polled_at is None:
        return None
    return Lag(max(0.0, (now - row.polled_at).total_seconds()), every_s)


@dataclass(frozen=True)
class Polling:
    """Whether anybody polls, as far as the cameras tell: `last_s` since the newest poll ended;
    `due` cameras wait for their turn, the one that has waited least for `overdue_s`."""

    last_s: float | None
    due: int
    overdue_s: float
    has_stopped: bool
    is_unanswered: bool  # every camera's last poll was sent, and nothing came of it

    @property
    def trouble(self) -> str:
        """What is wrong with it, if anything is."""
        if self.has_stopped:
            cameras = f"{self.due} camera{'' if self.due == 1 else 's'}"
            longer = format_roughly(self.overdue_s)
            return f"nobody seems to be polling: {cameras} due, for {longer} at least"
        if self.is_unanswered:
            return "polls are sent, and nothing comes of any of them"
        return ""


def measure_polling(rows: Sequence[CameraRow], now: datetime) -> Polling:
    polled = [row for row in rows if not row.paused]
    ended = [row.polled_at for row in rows if row.polled_at is not None]
    due = [row for row in polled if row.due_at <= now]
    outcomes = {row.outcome for row in polled if row.outcome is not None}
    last_s = max(0.0, (now - max(ended)).total_seconds()) if ended else None
    overdue_s = min(((now - row.due_at).total_seconds() for row in due), default=0.0)
    is_recent = last_s is not None and last_s <= NOBODY_AFTER_S
    is_under_way = any(row.lease_until is not None and row.lease_until > now for row in rows)
    return Polling(
        last_s=None if last_s is None else round(last_s, 1),
        due=len(due),
        overdue_s=round(overdue_s, 1),
        has_stopped=overdue_s > NOBODY_AFTER_S and not (is_recent or is_under_way),
        is_unanswered=outcomes == {Outcome.EXPIRED.value},
    )
