"""Who sends which images to a Label Studio now, and what came of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from pipeline.catalog.engine import Transactions, change, insert_into
from pipeline.catalog.labeling.quota import choose
from pipeline.catalog.labeling.states import (
    AT_ONCE,
    Conditions,
    TaskState,
    closed,
    has_lapsed,
    in_state,
    is_free,
    is_held,
)
from pipeline.catalog.tables import LabelingProjectRow, LabelingTaskRow

_ORDER = (LabelingTaskRow.asked.desc(), LabelingTaskRow.rank, LabelingTaskRow.image_id)


@dataclass(frozen=True)
class Claim:
    """Images are `token`'s, from `now` until then. `uploads`: Label Studio is given copies of them
    before they are sent."""

    token: str
    now: datetime
    until: datetime
    uploads: bool = False


class LabelingClaims:
    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def claim(
        self, project: str, claim: Claim, limit: int, per_source_and_day: int | None = None
    ) -> Sequence[LabelingTaskRow]:
        """Images to send: what a person asked for first, then by rank.

        A source has at most `per_source_and_day` of a day sent or being sent, not counting on what
        a person asks for; its others stay waiting. A claim that ran out is not free: see abandoned.
        """
        with self._transactions.writing() as session:
            lock_project(session, project)
            chosen = choose(session, project, limit, per_source_and_day)
            return _give(session, project, is_free(project), chosen, claim)

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

    def take_over(
        self, project: str, image_ids: Sequence[str], claim: Claim
    ) -> Sequence[LabelingTaskRow]:
        """Those of the abandoned that nobody took over before."""
        with self._transactions.writing() as session:
            lock_project(session, project)
            return _give(session, project, has_lapsed(project, claim.now), image_ids, claim)

    def release(self, project: str, token: str) -> int:
        """The claim ends, and nothing was sent; how many are free again."""
        free = {"claim_token": None, "claimed_until": None}
        with self._transactions.writing() as session:
            mine = update(LabelingTaskRow).where(*is_held(project, token))
            return change(session, mine.values(free))

    def note_copy(self, project: str, image_id: str, address: str) -> None:
        """Where its copy is over there: whoever sends it, now or later, needs no other."""
        waiting = (*in_state(project, TaskState.WAITING), LabelingTaskRow.image_id == image_id)
        with self._transactions.writing() as session:
            change(session, update(LabelingTaskRow).where(*waiting).values(copy_address=address))

    def mark_sent(self, project: str, token: str, tasks: Mapping[str, int], now: datetime) -> int:
        """Image to labeling task, of those that are `token`'s; how many were."""
        with self._transactions.writing() as session:
            held = select(LabelingTaskRow).where(*is_held(project, token)).with_for_update()
            mine = [row for row in session.scalars(held) if row.image_id in tasks]
            disown(session, project, [tasks[row.image_id] for row in mine], now)
            for row in mine:
                if row.copy_address is not None:
                    row.copy_address = ""  # the task's now: another task gets another
                for name, value in sent_as(tasks[row.image_id], now).items():
                    setattr(row, name, value)
            return len(mine)

    def mark_failed(
        self, project: str, token: str, image_id: str, reason: str, now: datetime
    ) -> bool:
        """Whether it was `token`'s, and is now given up."""
        values = closed(TaskState.FAILED, now) | {"reason": reason}
        with self._transactions.writing() as session:
            mine = (*is_held(project, token), LabelingTaskRow.image_id == image_id)
            return change(session, update(LabelingTaskRow).where(*mine).values(values)) == 1


def lock_project(session: Session, project: str) -> None:
    """Its row is there now, and this transaction's: one at a time counts what may be sent."""
    session.execute(
        insert_into(session, LabelingProjectRow)
        .values(project=project)
        .on_conflict_do_update(index_elements=["project"], set_={"project": project})
    )


def disown(session: Session, project: str, task_ids: Collection[int], now: datetime) -> None:
    """A Label Studio set up anew numbers its tasks from 1 again: ours of the same numbers are of
    the one before."""
    numbers = sorted(task_ids)
    for start in range(0, len(numbers), AT_ONCE):
        there = LabelingTaskRow.task_id.in_(numbers[start : start + AT_ONCE])
        theirs = update(LabelingTaskRow).where(LabelingTaskRow.project == project, there)
        erased = LabelingTaskRow.state == TaskState.ERASED
        session.execute(theirs.where(erased).values(task_id=None))
        gone = closed(TaskState.GONE, now) | {"task_id": None}
        session.execute(theirs.where(~erased).values(gone))


def sent_as(task_id: int, now: datetime) -> dict[str, Any]:
    return closed(TaskState.SENT, now) | {"task_id": task_id}


def _give(
    session: Session, project: str, which: Conditions, image_ids: Sequence[str], claim: Claim
) -> Sequence[LabelingTaskRow]:
    values: dict[str, Any] = {"claim_token": claim.token, "claimed_until": claim.until}
    values["updated_at"] = claim.now
    if claim.uploads:  # from now on there may be one
        values["copy_address"] = func.coalesce(LabelingTaskRow.copy_address, "")
    for start in range(0, len(image_ids), AT_ONCE):
        some = LabelingTaskRow.image_id.in_(image_ids[start : start + AT_ONCE])
        session.execute(update(LabelingTaskRow).where(*which, some).values(values))
    query = select(LabelingTaskRow).where(*is_held(project, claim.token)).order_by(*_ORDER)
    return session.scalars(query).all()
