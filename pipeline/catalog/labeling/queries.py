"""Questions about labeling tasks."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, func, select

from pipeline.catalog.engine import Transactions
from pipeline.catalog.tables import ImageRow, LabelingTaskRow
from pipeline.records import ImageState

AT_ONCE = 500  # values in one statement: databases bound how many it takes
_PAGE = 1000

Conditions = tuple[ColumnElement[bool], ...]


class TaskState(StrEnum):
    """How far an image is on its way to a project."""

    WAITING = "waiting"  # to be sent; while it has a claim, somebody sends it
    LEFT_OUT = "left-out"  # by the policy
    SENT = "sent"
    GONE = "gone"  # sent, and its labeling task was deleted over there
    FAILED = "failed"
    ERASED = "erased"  # its image was: what is over there is to be deleted, then the row


class LabelingQueries:
    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def get(self, project: str, image_id: str) -> LabelingTaskRow | None:
        with self._transactions.reading() as session:
            return session.get(LabelingTaskRow, (project, image_id))

    def rows(self, project: str, image_ids: Sequence[str]) -> dict[str, LabelingTaskRow]:
        """Image to its row, of those that have one."""
        found: dict[str, LabelingTaskRow] = {}
        with self._transactions.reading() as session:
            for start in range(0, len(image_ids), AT_ONCE):
                some = LabelingTaskRow.image_id.in_(image_ids[start : start + AT_ONCE])
                query = select(LabelingTaskRow).where(LabelingTaskRow.project == project, some)
                found |= {row.image_id: row for row in session.scalars(query)}
        return found

    def of_image(self, image_id: str) -> Sequence[LabelingTaskRow]:
        """Its rows in all projects."""
        query = select(LabelingTaskRow).where(LabelingTaskRow.image_id == image_id)
        with self._transactions.reading() as session:
            return session.scalars(query.order_by(LabelingTaskRow.project)).all()

    def with_row(self, image_ids: Collection[str]) -> set[str]:
        """Those of the images that have a row in any project, and are not to be deleted there."""
        wanted, found = list(image_ids), set[str]()
        query = select(LabelingTaskRow.image_id).where(LabelingTaskRow.state != TaskState.ERASED)
        with self._transactions.reading() as session:
            for start in range(0, len(wanted), AT_ONCE):
                some = LabelingTaskRow.image_id.in_(wanted[start : start + AT_ONCE])
                found |= set(session.scalars(query.where(some)))
        return found

    def by_task(self, project: str, task_ids: Sequence[int]) -> dict[int, LabelingTaskRow]:
        """Labeling task to its row, of those that have one."""
        found: dict[int, LabelingTaskRow] = {}
        with self._transactions.reading() as session:
            for start in range(0, len(task_ids), AT_ONCE):
                some = LabelingTaskRow.task_id.in_(task_ids[start : start + AT_ONCE])
                query = select(LabelingTaskRow).where(LabelingTaskRow.project == project, some)
                found |= {row.task_id: row for row in session.scalars(query) if row.task_id}
        return found

    def sent_ids(self, project: str) -> Iterator[tuple[int, str]]:
        """Labeling task and image of all that were sent, by number; read in pages."""
        last = 0
        while True:
            query = (
                select(LabelingTaskRow.task_id, LabelingTaskRow.image_id)
                .where(*in_state(project, TaskState.SENT), LabelingTaskRow.task_id > last)
                .order_by(LabelingTaskRow.task_id)
                .limit(_PAGE)
            )
            with self._transactions.reading() as session:
                page = [(task, image) for task, image in session.execute(query) if task]
            yield from page
            if len(page) < _PAGE:
                return
            last = page[-1][0]

    def abandoned(self, project: str, now: datetime, limit: int) -> Sequence[LabelingTaskRow]:
        """Those whose claim ran out: their sender died, perhaps after Label Studio took them."""
        query = (
            select(LabelingTaskRow)
            .where(*has_lapsed(project, now))
            .order_by(LabelingTaskRow.claimed_until, LabelingTaskRow.image_id)
            .limit(limit)
        )
        with self._transactions.reading() as session:
            return session.scalars(query).all()

    def unconsidered(self, project: str, limit: int) -> Sequence[str]:
        """Detected images that have no row here, the newest last: their message was lost, or they
        are older than the project."""
        known = select(LabelingTaskRow.image_id).where(LabelingTaskRow.project == project)
        query = (
            select(ImageRow.id)
            .where(ImageRow.state == ImageState.DETECTED.value, ImageRow.id.not_in(known))
            .order_by(ImageRow.captured_at, ImageRow.id)
            .limit(limit)
        )
        with self._transactions.reading() as session:
            return session.scalars(query).all()

    def erased(self, project: str, limit: int) -> Sequence[str]:
        """Images of which everything over there is to be deleted."""
        query = select(LabelingTaskRow.image_id).where(*in_state(project, TaskState.ERASED))
        with self._transactions.reading() as session:
            return session.scalars(query.order_by(LabelingTaskRow.image_id).limit(limit)).all()

    def count_by_state(self, project: str) -> dict[str, int]:
        return self._count(LabelingTaskRow.state, LabelingTaskRow.project == project)

    def reasons(self, project: str, state: TaskState) -> dict[str, int]:
        """Reason to how many images, of those in that state."""
        return self._count(LabelingTaskRow.reason, *in_state(project, state))

    def _count(self, by: Any, *where: ColumnElement[bool]) -> dict[str, int]:
        query = select(by, func.count()).where(*where).group_by(by).order_by(by)
        with self._transactions.reading() as session:
            return {what: number for what, number in session.execute(query)}


def in_state(project: str, state: TaskState) -> Conditions:
    return LabelingTaskRow.project == project, LabelingTaskRow.state == state.value


def is_claimed(project: str) -> Conditions:
    """A row with a claim waits, and is found by its claim: of those that wait there may be many."""
    return LabelingTaskRow.project == project, LabelingTaskRow.claim_token.is_not(None)


def has_lapsed(project: str, now: datetime) -> Conditions:
    """Claimed, and not sent in time."""
    return (
        *is_claimed(project),
        LabelingTaskRow.claimed_until <= now,
    )
