"""How a camera is doing, from its row."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pipeline.catalog import Catalog
from pipeline.catalog.drops import DropFilter
from pipeline.catalog.tables import CameraRow
from pipeline.records import Outcome

LATE_AFTER_TURNS = 2.5  # turns lie half to one and a half intervals apart


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
