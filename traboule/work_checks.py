"""Doctor's checks of the services of `docker compose`: is each at its work? The catalog tells.

A service that is stopped leaves its work undone, wherever it runs and whoever may look at it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from datetime import datetime, timedelta

from pipeline.catalog import Catalog, open_catalog
from pipeline.catalog.images import ImageFilter
from pipeline.errors import PipelineError
from pipeline.records import ImageState
from services.maintenance.settings import MaintenanceSettings
from services.scheduler.discovery import NOT_RUNNING
from services.scheduler.feeds import OPTIONAL
from traboule.check import Check, Patient
from traboule.durations import format_roughly
from traboule.feed_status import are_late, read_feeds
from traboule.health import measure_polling
from traboule.status import find_longest_wait

WAITS_LONG_S = 300.0
SWEEPS_MISSED = timedelta(seconds=120)  # a sweep begins every 30 s
LOGS = "docker compose logs"


def check_work(patient: Patient) -> Sequence[Check]:
    if patient.folder is not None:
        return []
    try:
        with closing(open_catalog(patient.settings.catalog_url)) as catalog:
            return [
                *_check_feeds(catalog, patient.now),
                _check_polling(catalog, patient),
                _check_detection(catalog, patient.now),
                *_check_models(catalog, patient),
                _check_maintenance(catalog, patient.now),
            ]
    except PipelineError as error:
        return [Check("work", "fail", str(error), "see the checks above")]


def _check_feeds(catalog: Catalog, now: datetime) -> Sequence[Check]:
    """An optional feed that is not running is no fault."""
    feeds, checks = read_feeds(catalog), []
    for feed in feeds:
        is_well = not feed.reason or (feed.id in OPTIONAL and feed.reason == NOT_RUNNING)
        told = feed.tell(now)
        advice = "" if is_well else f"it is asked again by itself; else: {LOGS} scheduler"
        checks.append(Check(f"feed {feed.id}", "ok" if is_well else "warn", told, advice))
    if are_late(feeds, now):
        what = "nobody seems to ask for their lists"
        checks.append(
            Check("feeds", "warn", what, f"docker compose ps scheduler; {LOGS} scheduler")
        )
    return checks


def _check_polling(catalog: Catalog, patient: Patient) -> Check:
    rows = catalog.cameras.all()
    if not rows:
        return Check("polling", "warn", "no cameras yet", patient.advice.find_cameras)
    polling = measure_polling(rows, patient.now)
    ago = "never" if polling.last_s is None else f"{format_roughly(polling.last_s)} ago"
    if polling.trouble:
        who = "scheduler capture" if polling.has_stopped else "capture"
        advice = f"docker compose ps {who}; {LOGS} {who}"
        return Check("polling", "warn", f"{polling.trouble}; last poll: {ago}", advice)
    cameras = f"{len(rows)} camera{'' if len(rows) == 1 else 's'}"
    return Check("polling", "ok", f"{cameras}; last poll: {ago}")


def _check_detection(catalog: Catalog, now: datetime) -> Check:
    longest_s = find_longest_wait(catalog, now)
    if longest_s is None:
        return Check("detection", "ok", "no image waits for it")
    waiting = catalog.images.count(ImageFilter(states=(ImageState.STORED,)))
    what = f"images that wait: {waiting}, the first for {format_roughly(longest_s)}"
    if longest_s <= WAITS_LONG_S:
        return Check("detection", "ok", what)
    advice = f"{LOGS} detection; is it too slow? docker compose up --detach --scale detection=3"
    return Check("detection", "warn", what, advice)


def _check_models(catalog: Catalog, patient: Patient) -> Sequence[Check]:
    wanted = ImageFilter(states=(ImageState.AWAITING_MODEL,), limit=None)
    waiting = catalog.images.search(wanted)
    if not waiting:
        return [Check("models", "ok", "detection has its own, and no image waits for one")]
    count = f"{len(waiting)} images wait" if len(waiting) > 1 else "1 image waits"
    what = f"{count} for one: {waiting[0].reason}"
    return [Check("models", "warn", what, f"detection pulls it itself: {patient.advice.model}")]


def _check_maintenance(catalog: Catalog, now: datetime) -> Check:
    """What a sweep would have seen to."""
    storing = ImageFilter(states=(ImageState.STORING,), limit=None)
    grace = timedelta(seconds=MaintenanceSettings().storing_grace_s) + SWEEPS_MISSED
    left = sum(now - row.updated_at > grace for row in catalog.images.search(storing))
    repeats = [row.repeat_until for row in catalog.tombstones.to_repeat()]
    left += sum(until is not None and now - until > SWEEPS_MISSED for until in repeats)
    if not left:
        return Check("maintenance", "ok", "nothing is left undone")
    what = f"{left} images half-stored or half-erased, for minutes"
    return Check("maintenance", "warn", what, f"{LOGS} maintenance")
