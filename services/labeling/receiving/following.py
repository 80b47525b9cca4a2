"""What people changed in Label Studio, read by the time of its last change and stored.

However many share one time: each run goes on from the place where the last one had no time left.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field

from pipeline.logs import get_logger
from services.labeling.context import LabelingContext
from services.labeling.receiving.cursor import ChangeCursor
from services.labeling.receiving.recording import record_task
from services.labeling.studio.connection import Connected
from services.labeling.studio.failures import StudioError
from services.labeling.studio.project import check_project

NOTED_EVERY = 100  # labeling tasks

log = get_logger(__name__)


@dataclass
class Followed:
    """What a run did. `complete`: whether it came to the end of the changes."""

    tasks: int = 0
    revisions: int = 0
    passed_over: Counter[str] = field(default_factory=Counter)  # by why
    complete: bool = False


def follow(context: LabelingContext, connected: Connected, ends_at: float) -> Followed:
    """Store the changes since the last run, or as many as there is time for.

    How far it came is noted only for what is stored: a run that is killed is repeated.
    """
    check_project(connected.studio, connected.project)
    cursor, followed = _take_up(context, connected), Followed()
    try:
        _go_through(context, connected, followed, ends_at)
    except StudioError:
        _note(context, cursor)
        raise
    _note(context, cursor)
    if followed.complete:
        cursor.end(context.clock())
    if followed.revisions or followed.passed_over:
        log.info(
            "followed Label Studio",
            tasks=followed.tasks,
            revisions=followed.revisions,
            passed_over=dict(followed.passed_over),
        )
    return followed


def _take_up(context: LabelingContext, connected: Connected) -> ChangeCursor:
    row, progress = context.catalog.labeling_projects.get(connected.key), context.progress
    noted = row.followed_to if row else None
    if progress.cursor is None or not progress.cursor.is_of(connected.key, noted):
        progress.cursor = ChangeCursor(connected.key, noted, newest=noted)
    progress.cursor.begin(context.clock())
    return progress.cursor


def _go_through(
    context: LabelingContext, connected: Connected, followed: Followed, ends_at: float
) -> None:
    cursor = context.progress.cursor
    assert cursor is not None
    changed = connected.studio.list_changed(connected.project.id, cursor.since, cursor.after)
    for task in changed:
        recorded = record_task(context, connected.key, task)
        cursor.go_past(task)
        followed.tasks += 1
        followed.revisions += recorded.revisions
        if recorded.passed_over:
            followed.passed_over[recorded.passed_over] += 1
        if followed.tasks % NOTED_EVERY == 0:
            _note(context, cursor)
        if time.monotonic() > ends_at:
            return
    followed.complete = True


def _note(context: LabelingContext, cursor: ChangeCursor) -> None:
    reached = cursor.reached(context.clock())
    if reached is not None and reached != cursor.noted:
        context.catalog.labeling_projects.follow(cursor.project, reached)
        cursor.noted = reached
