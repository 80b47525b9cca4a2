"""Labeling tasks: which images go to a Label Studio, and what became of them.

An image has one row in a project, and one labeling task at most.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, case, delete, func, select, update
from sqlalchemy.orm import Session

from pipeline.catalog.engine import Transactions, change, insert_into
from pipeline.catalog.labeling.claims import disown, lock_project, sent_as
from pipeline.catalog.labeling.states import AT_ONCE, TaskState, closed, in_state
from pipeline.catalog.tables import ImageRow, LabelingTaskRow
from pipeline.records import ImageState

__all__ = ["Considered", "LabelingTasks", "TaskState"]

_KEY = ["project", "image_id"]
ASKED_AGAIN = "asked again"  # of what was gone: looked for before it is sent
_FOUND = "found in the project"
_PAGE = 1000
_is_unsent = LabelingTaskRow.state.not_in([TaskState.SENT.value, TaskState.ERASED.value])
_is_or_may_be_there = (
    (LabelingTaskRow.state == TaskState.SENT.value)
    | LabelingTaskRow.claim_token.is_not(None)
    | LabelingTaskRow.copy_address.is_not(None)
)


@dataclass(frozen=True)
class Considered:
    """An image, and what the policy says of it: `state` is WAITING or LEFT_OUT."""

    image_id: str
    source: str
    day: str
    rank: float = 0.0  # the lowest is sent first
    state: TaskState = TaskState.WAITING
    reason: str = ""


class LabelingTasks:
    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def consider(self, project: str, considered: Considered, now: datetime) -> bool:
        """Whether the image had no row yet, and now has this one."""
        values = _values(project, considered, now) | {"state": considered.state.value}
        with self._transactions.writing() as session:
            insert = insert_into(session, LabelingTaskRow).values(values)
            new = insert.on_conflict_do_nothing().returning(LabelingTaskRow.image_id)
            return session.scalars(new).first() is not None

    def ask(self, project: str, considered: Sequence[Considered], now: datetime) -> int:
        """A person wants these sent, whatever the policy and the quota say; how many now wait.
        What was sent stays as it is, unless it is gone over there."""
        rows = {one.image_id: _values(project, one, now) | {"asked": True} for one in considered}
        wanted = [rows[image] for image in sorted(rows)]
        with self._transactions.writing() as session:
            lock_project(session, project)
            parts = [wanted[start : start + AT_ONCE] for start in range(0, len(wanted), AT_ONCE)]
            return sum(_ask(session, part) for part in parts)

    def adopt(self, project: str, about: Considered, task_id: int, now: datetime) -> bool:
        """A labeling task was found over there; whether it now is its image's, which had none."""
        sent = sent_as(task_id, now)
        values = _values(project, about, now) | {"reason": _FOUND, "copy_address": ""} | sent
        # Whether it shows a copy, nobody knows.
        sent["copy_address"] = func.coalesce(LabelingTaskRow.copy_address, "")
        with self._transactions.writing() as session:
            row = session.get(LabelingTaskRow, (project, about.image_id), with_for_update=True)
            if row is not None and row.state in (TaskState.SENT, TaskState.ERASED):
                return False
            disown(session, project, [task_id], now)
            insert = insert_into(session, LabelingTaskRow).values(values)
            adopted = insert.on_conflict_do_update(index_elements=_KEY, set_=sent, where=_is_unsent)
            return session.scalars(adopted.returning(LabelingTaskRow.image_id)).first() is not None

    def mark_gone(self, project: str, task_ids: Sequence[int], now: datetime) -> int:
        """Labeling tasks were deleted over there; of how many images."""
        with self._transactions.writing() as session:
            return sum(
                change(
                    session,
                    update(LabelingTaskRow)
                    .where(
                        *in_state(project, TaskState.SENT),
                        LabelingTaskRow.task_id.in_(task_ids[start : start + AT_ONCE]),
                    )
                    .values(closed(TaskState.GONE, now)),
                )
                for start in range(0, len(task_ids), AT_ONCE)
            )

    def erase_image(self, image_id: str, now: datetime) -> int:
        """Its rows go, in all projects; where it, or a copy, is over there or may be, one stays,
        ERASED, until that is deleted. How many of those are new."""
        its = LabelingTaskRow.image_id == image_id, LabelingTaskRow.state != TaskState.ERASED.value
        values = closed(TaskState.ERASED, now) | {"reason": ""}
        with self._transactions.writing() as session:
            kept = update(LabelingTaskRow).where(*its, _is_or_may_be_there)
            erased = change(session, kept.values(values))
            session.execute(delete(LabelingTaskRow).where(*its))
            return erased

    def drop_erased(self, project: str, image_ids: Sequence[str]) -> int:
        """Nothing is left of them over there."""
        erased = delete(LabelingTaskRow).where(*in_state(project, TaskState.ERASED))
        with self._transactions.writing() as session:
            return change(session, erased.where(LabelingTaskRow.image_id.in_(image_ids)))

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
        return self._images(project, TaskState.ERASED, limit)

    def failed(self, project: str) -> Sequence[str]:
        """Images that were given up."""
        return self._images(project, TaskState.FAILED)

    def count_by_state(self, project: str) -> dict[str, int]:
        return self._count(LabelingTaskRow.state, LabelingTaskRow.project == project)

    def reasons(self, project: str, state: TaskState) -> dict[str, int]:
        """Reason to how many images, of those in that state."""
        return self._count(LabelingTaskRow.reason, *in_state(project, state))

    def _count(self, by: Any, *where: ColumnElement[bool]) -> dict[str, int]:
        query = select(by, func.count()).where(*where).group_by(by).order_by(by)
        with self._transactions.reading() as session:
            return {what: number for what, number in session.execute(query)}

    def _images(self, project: str, state: TaskState, limit: int | None = None) -> Sequence[str]:
        query = select(LabelingTaskRow.image_id).where(*in_state(project, state))
        with self._transactions.reading() as session:
            return session.scalars(query.order_by(LabelingTaskRow.image_id).limit(limit)).all()


def _values(project: str, about: Considered, now: datetime) -> dict[str, Any]:
    return {
        "project": project,
        "image_id": about.image_id,
        "source": about.source,
        "day": about.day,
        "state": TaskState.WAITING.value,
        "rank": about.rank,
        "reason": about.reason,
        "updated_at": now,
    }


def _ask(session: Session, wanted: Sequence[Mapping[str, Any]]) -> int:
    insert = insert_into(session, LabelingTaskRow).values(wanted)
    again = ("state", "asked", "rank", "reason", "updated_at")
    # What was gone may be there again: a claim that has run out is looked for before it is sent.
    was_gone = LabelingTaskRow.state == TaskState.GONE
    lapsed = {
        "claim_token": case((was_gone, ASKED_AGAIN), else_=LabelingTaskRow.claim_token),
        "claimed_until": case(
            (was_gone, insert.excluded["updated_at"]), else_=LabelingTaskRow.claimed_until
        ),
    }
    upsert = insert.on_conflict_do_update(
        index_elements=_KEY,
        set_={"task_id": None} | lapsed | {name: insert.excluded[name] for name in again},
        where=_is_unsent,
    )
    return len(session.scalars(upsert.returning(LabelingTaskRow.image_id)).all())
