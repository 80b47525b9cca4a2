"""Which images are sent next, and how many of a source and day may be.

What waits beyond its quota stays, and may be many: it is counted from an index, and never read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from heapq import nsmallest

from sqlalchemy import func, literal, select, union_all
from sqlalchemy.orm import Session

from pipeline.catalog.labeling.states import (
    Conditions,
    TaskState,
    in_state,
    is_claimed,
    is_free,
)
from pipeline.catalog.tables import LabelingTaskRow

DAYS_AT_ONCE = 200  # days of sources that are read for one claim

_SourceDay = tuple[str, str]
_GROUP = (LabelingTaskRow.source, LabelingTaskRow.day)
_ORDER = (LabelingTaskRow.rank, LabelingTaskRow.image_id)


def choose(session: Session, project: str, limit: int, quota: int | None) -> list[str]:
    """Free images: what a person asked for, then by rank. The transaction counts alone."""
    asked = (*is_free(project), LabelingTaskRow.asked.is_(True))
    others = (*is_free(project), LabelingTaskRow.asked.is_(False))
    chosen = _read(session, asked, limit)
    limit -= len(chosen)
    if limit and quota is not None:
        chosen += _choose_within(session, others, _find_room(session, project, quota), limit)
    elif limit:
        chosen += _read(session, others, limit)
    return [image for _, image in chosen]


def _choose_within(
    session: Session, free: Conditions, room: Mapping[_SourceDay, int], limit: int
) -> list[tuple[float, str]]:
    found: list[tuple[float, str]] = []
    for (source, day), number in room.items():
        of_it = (*free, LabelingTaskRow.source == source, LabelingTaskRow.day == day)
        found += _read(session, of_it, min(number, limit))
    return nsmallest(limit, found)


def _find_room(session: Session, project: str, quota: int) -> Mapping[_SourceDay, int]:
    """Days of sources where something waits, and how many more may be sent; the newest days, where
    there are too many."""
    waiting, sent, claimed = _count(
        session,
        in_state(project, TaskState.WAITING),
        in_state(project, TaskState.SENT),
        is_claimed(project),
    )
    room = {
        one: quota - sent[one] - claimed[one]
        for one in sorted(waiting, key=lambda one: (one[1], one[0]), reverse=True)
        if waiting[one] > claimed[one] and sent[one] + claimed[one] < quota
    }
    return dict(list(room.items())[:DAYS_AT_ONCE])


def _count(session: Session, *kinds: Conditions) -> Sequence[Counter[_SourceDay]]:
    """In one statement, of one moment: between two, what was claimed is sent, and in neither."""
    counts = [Counter[_SourceDay]() for _ in kinds]
    parts = [
        select(literal(kind), *_GROUP, func.count()).where(*where).group_by(*_GROUP)
        for kind, where in enumerate(kinds)
    ]
    for kind, source, day, number in session.execute(union_all(*parts)):
        counts[kind][source, day] = number
    return counts


def _read(session: Session, where: Conditions, limit: int) -> list[tuple[float, str]]:
    query = select(*_ORDER).where(*where).order_by(*_ORDER).limit(limit)
    return [(rank, image) for rank, image in session.execute(query)]
