"""How everything stands: each camera, each stage, and whether a run is at work."""

from __future__ import annotations

import fcntl
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from pipeline import keys
from pipeline.catalog import Catalog
from pipeline.catalog.images import ImageFilter
from pipeline.catalog.tables import CameraRow
from pipeline.errors import StorageError
from pipeline.records import Camera, ImageState
from services.maintenance.settings import MaintenanceSettings
from traboule.feed_status import FeedStatus, read_feeds
from traboule.health import Health, Polling, failing_since, judge, measure_polling
from traboule.labels.state import LabelingState, read_state
from traboule.workspace import LOCK_NAME, Workspace

STAGES = (
    ImageState.STORING,
    ImageState.STORED,
    ImageState.AWAITING_MODEL,
    ImageState.QUARANTINED,
    ImageState.DETECTED,
    ImageState.DROPPED,
    ImageState.EXPIRED,
)


@dataclass(frozen=True)
class CameraStatus:
    """`since` is when a failing camera began to fail, `until` when it is tried again; `lag_s` how
    long it is since its last poll, which should be about `every_s`."""

    id: str
    name: str
    feed: str
    health: Health
    outcome: str | None
    reason: str
    time: datetime | None
    since: datetime | None
    until: datetime | None
    lag_s: float | None
    every_s: float
    kept_at: datetime | None
    images: int


@dataclass(frozen=True)
class Status:
    """`live` says who is at work on a folder; `waits_s` how long the first image has waited for
    detection; `reasons` why images wait for a model or are in quarantine; `frames_late` counts
    those in raw/ past half their lifetime (None where the store does not answer),
    `frames_expire_at` the first's."""

    live: str | None
    feeds: tuple[FeedStatus, ...]
    polling: Polling
    cameras: tuple[CameraStatus, ...]
    waits_s: float | None
    images: Mapping[str, int]
    reasons: Mapping[str, Mapping[str, int]]
    frames_late: int | None
    frames_expire_at: datetime | None
    labeling: LabelingState | None


def read_status(workspace: Workspace, now: datetime) -> Status:
    """Raises CatalogError when the catalog does not answer."""
    catalog = workspace.catalog
    by_camera = catalog.images.count_by_state()
    totals = Counter[str]()
    for counted in by_camera.values():
        totals.update(counted)
    late, first = None, None
    with suppress(StorageError):
        late, first = find_late_frames(workspace, now)
    rows = catalog.cameras.all()
    return Status(
        live=None if workspace.data is None else find_holder(workspace.data),
        feeds=read_feeds(catalog),
        polling=measure_polling(rows, now),
        cameras=tuple(_describe(catalog, row, by_camera.get(row.id, {}), now) for row in rows),
        waits_s=find_longest_wait(catalog, now),
        images={state.value: totals[state] for state in STAGES},
        reasons={
            state.value: _count_reasons(catalog, state)
            for state in (ImageState.AWAITING_MODEL, ImageState.QUARANTINED)
        },
        frames_late=late,
        frames_expire_at=first,
        labeling=read_state(workspace),
    )


def find_holder(folder: Path) -> str | None:
    """Who holds the folder's lock; None when it is free."""
    try:
        with (folder / LOCK_NAME).open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return file.read().strip() or "another traboule"
    except FileNotFoundError:
        return None
    return None


def find_late_frames(workspace: Workspace, now: datetime) -> tuple[int, datetime | None]:
    """How many frames wait in raw/ past half their lifetime, and when the first expires."""
    lifetime = timedelta(hours=MaintenanceSettings().raw_lifetime_h)
    ids = {keys.image_of(entry.key) for entry in workspace.store.list(keys.FRAMES)}
    taken = sorted(keys.captured_at(one) for one in ids if keys.is_image_id(one))
    late = [at for at in taken if now - at >= lifetime / 2]
    return len(late), late[0] + lifetime if late else None


def find_longest_wait(catalog: Catalog, now: datetime) -> float | None:
    """In seconds, since detection could have begun with it; None where no image waits for it."""
    waiting = catalog.images.search(ImageFilter(states=(ImageState.STORED,), limit=None))
    waited = ((now - row.updated_at).total_seconds() for row in waiting)
    return max((round(max(0.0, one_s), 1) for one_s in waited), default=None)


def _describe(
    catalog: Catalog, row: CameraRow, images: Mapping[str, int], now: datetime
) -> CameraStatus:
    camera, health = Camera.model_validate(row.record), judge(row)
    lag_s = None if row.polled_at is None else max(0.0, (now - row.polled_at).total_seconds())
    return CameraStatus(
        id=row.id,
        name=camera.name,
        feed=camera.feed,
        health=health,
        outcome=row.outcome,
        reason=row.reason,
        time=row.polled_at,
        since=failing_since(catalog, row) if health is Health.FAILING else None,
        until=row.due_at if health is Health.FAILING else None,
        lag_s=None if lag_s is None else round(lag_s, 1),
        every_s=camera.every_s,
        kept_at=row.kept_at,
        images=sum(images.get(state, 0) for state in STAGES[:5]),
    )


def _count_reasons(catalog: Catalog, state: ImageState) -> dict[str, int]:
    rows = catalog.images.search(ImageFilter(states=(state,), limit=None))
    return dict(Counter(row.reason for row in rows).most_common())
