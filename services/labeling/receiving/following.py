"""What people changed in Label Studio, read by the time of its last change and stored.

However many share one time: each run goes on from the place where the last one had no time left.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from pipeline.logs import get_logger
from services.labeling.context import LabelingContext
from services.labeling.receiving.cursor import Reading
from services.labeling.receiving.recording import Recorded, record_task
from services.labeling.studio.connection import Connected
from services.labeling.studio.failures import StudioError
from services.labeling.studio.protocol import StudioTask

NOTED_EVERY = 100  # labeling tasks

log = get_logger(__name__)


@dataclass
class Followed:
    """What a run did. `complete`: whether it came to the end of the changes."""

    tasks: int = 0
    revisions: int = 0
    passed_over: int = 0
    complete: bool = False


def follow(context: LabelingContext, connected: Connected, ends_at: float) -> Followed:
    """Store the changes since the last run, or as many as there is time for.

    How far it came is noted only for what is stored: a run that is killed is repeated.
    """
    reading, followed = _take_up(context, connected), Followed()
    try:
        _go_through(context, connected, followed, ends_at)
    except StudioError:
        _note(context, reading)
        raise
    _note(context, reading)
    if followed.complete:
        reading.end(context.clock())
    if followed.revisions or followed.passed_over:
        log.info(
            "followed Label Studio",
            tasks=followed.tasks,
            revisions=followed.revisions,
            passed_over=followed.passed_over,
        )
    return followed


def _take_up(context: LabelingContext, connected: Connected) -> Reading:
    row, progress = context.catalog.labeling_projects.get(connected.key), context.progress
    noted = row.followed_to if row else None
    if progress.reading is None or not progress.reading.is_of(connected.key, noted):
        progress.reading = Reading(connected.key, noted, newest=noted)
    progress.reading.begin(context.clock())
    return progress.reading


def _go_through(
    context: LabelingContext, connected: Connected, followed: Followed, ends_at: float
) -> None:
    reading = context.progress.reading
    assert reading is not None
    changed = connected.studio.list_changed(connected.project.id, reading.since, reading.after)
    for task in changed:
        recorded = _record(context, connected, task)
        reading.go_past(task)
        followed.tasks += 1
        followed.revisions += recorded.revisions
        followed.passed_over += bool(recorded.passed_over)
        if followed.tasks % NOTED_EVERY == 0:
            _note(context, reading)
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


def _note(context: LabelingContext, reading: Reading) -> None:
    reached = reading.reached(context.clock())
    if reached is not None and reached != reading.noted:
        context.catalog.labeling_projects.follow(reading.project, reached)
        reading.noted = reached
