"""What people changed in Label Studio, read by the time of its last change and stored.

By Label Studio's clock alone. What was changed a little earlier than what we have read may still
turn up, since its transactions do not end in the order of their times: so the last seconds are
read again, until nothing has changed for as long.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from pipeline.logs import get_logger
from services.labeling.connection import Connected
from services.labeling.context import LabelingContext, Progress
from services.labeling.failures import StudioError
from services.labeling.recording import Recorded, record_task
from services.labeling.studio import StudioTask

OVERLAP = timedelta(seconds=10)
NOTED_EVERY = 100  # labeling tasks

log = get_logger(__name__)


@dataclass
class Followed:
    """What a run did. `complete`: whether it came to the end of the changes."""

    tasks: int = 0
    revisions: int = 0
    passed_over: int = 0
    newest: datetime | None = None
    complete: bool = False


def follow(context: LabelingContext, connected: Connected, ends_at: float) -> Followed:
    """Store the changes since the last run, or as many as there is time for.

    How far it came is noted only for what is stored: a run that is killed is repeated.
    """
    row = context.catalog.labeling_projects.get(connected.key)
    before, started = row.followed_to if row else None, context.clock()
    followed = Followed(newest=before)
    try:
        _go_through(context, connected, followed, ends_at)
    except StudioError:
        _note(context, connected, followed, before)
        raise
    _note(context, connected, followed, before)
    if followed.complete:
        _settle(context.progress, followed.newest, started)
    if followed.revisions or followed.passed_over:
        log.info(
            "followed Label Studio",
            tasks=followed.tasks,
            revisions=followed.revisions,
            passed_over=followed.passed_over,
        )
    return followed


def _go_through(
    context: LabelingContext, connected: Connected, followed: Followed, ends_at: float
) -> None:
    since = _begin_at(context.progress, followed.newest)
    for task in connected.studio.list_changed(connected.project.id, since):
        recorded = _record(context, connected, task)
        followed.tasks += 1
        followed.revisions += recorded.revisions
        followed.passed_over += bool(recorded.passed_over)
        if followed.newest is None or task.updated_at > followed.newest:
            followed.newest = task.updated_at
        if followed.tasks % NOTED_EVERY == 0:
            _note(context, connected, followed, None)
        if time.monotonic() > ends_at:
            return
    followed.complete = True


def _record(context: LabelingContext, connected: Connected, task: StudioTask) -> Recorded:
    """One task that nobody foresaw must not stop all the others."""
    try:
        return record_task(context, connected.key, task)
    except (ValueError, TypeError, LookupError, ArithmeticError) as error:
        log.exception("labeling task not stored", task=task.id, image=task.image_id)
        return Recorded(passed_over=f"{type(error).__name__}: {error}")


def _note(
    context: LabelingContext, connected: Connected, followed: Followed, before: datetime | None
) -> None:
    if followed.newest is not None and followed.newest != before:
        context.catalog.labeling_projects.follow(connected.key, followed.newest)


def _begin_at(progress: Progress, followed_to: datetime | None) -> datetime | None:
    if followed_to is None or (progress.settled and progress.quiet_to == followed_to):
        return followed_to
    return followed_to - OVERLAP


def _settle(progress: Progress, newest: datetime | None, started: datetime) -> None:
    if newest is None or newest != progress.quiet_to:
        progress.quiet_to, progress.quiet_since, progress.settled = newest, started, False
    elif progress.quiet_since is not None and started - progress.quiet_since > OVERLAP:
        progress.settled = True
