"""Labeling tasks: which images go to a Label Studio, and what became of them.

An image has one row in a project, and one labeling task at most.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from pipeline.catalog.engine import change, insert_into
from pipeline.catalog.labeling.claims import LabelingClaims, is_held, lock_project
from pipeline.catalog.labeling.queries import AT_ONCE, TaskState, in_state
from pipeline.catalog.tables import LabelingTaskRow

__all__ = ["Considered", "LabelingTasks", "TaskState"]

_KEY = ["project", "image_id"]
_FOUND = "found in the project"
_is_unsent = LabelingTaskRow.state.not_in([TaskState.SENT.value, TaskState.ERASED.value])
_is_or_may_be_there = (
    (LabelingTaskRow.state == TaskState.SENT.value)
    | LabelingTaskRow.claim_token.is_not(None)
    | LabelingTaskRow.copied.is_(True)
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


class LabelingTasks(LabelingClaims):
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

    def mark_sent(
        self, project: str, token: str, tasks: Mapping[str, int], copied: bool, now: datetime
    ) -> int:
        """Image to labeling task, of those that are `token`'s; how many were."""
        with self._transactions.writing() as session:
            held = select(LabelingTaskRow).where(*is_held(project, token)).with_for_update()
            mine = [row for row in session.scalars(held) if row.image_id in tasks]
            _disown(session, project, [tasks[row.image_id] for row in mine], now)
            for row in mine:
                values = _sent_as(tasks[row.image_id], now) | {"copied": copied}
                for name, value in values.items():
                    setattr(row, name, value)
            return len(mine)

    def adopt(  # noqa: PLR0913  a row's worth
        self, project: str, image_id: str, source: str, day: str, task_id: int, now: datetime
    ) -> bool:
        """A labeling task was found over there; whether it now is its image's, which had none."""
        about = Considered(image_id, source, day, reason=_FOUND)
        values = _values(project, about, now) | _sent_as(task_id, now)
        with self._transactions.writing() as session:
            row = session.get(LabelingTaskRow, (project, image_id), with_for_update=True)
            if row is not None and row.state in (TaskState.SENT, TaskState.ERASED):
                return False
            _disown(session, project, [task_id], now)
            insert = insert_into(session, LabelingTaskRow).values(values)
            adopted = insert.on_conflict_do_update(
                index_elements=_KEY, set_=_sent_as(task_id, now), where=_is_unsent
            )
            return session.scalars(adopted.returning(LabelingTaskRow.image_id)).first() is not None

    def mark_failed(self, project: str, image_id: str, reason: str, now: datetime) -> bool:
        """Whether it waited, and is now given up."""
        values = _closed(TaskState.FAILED, now) | {"reason": reason}
        with self._transactions.writing() as session:
            waiting = update(LabelingTaskRow).where(
                *in_state(project, TaskState.WAITING), LabelingTaskRow.image_id == image_id
            )
            return change(session, waiting.values(values)) == 1

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
                    .values(_closed(TaskState.GONE, now)),
                )
                for start in range(0, len(task_ids), AT_ONCE)
            )

    def erase_image(self, image_id: str, now: datetime) -> int:
        """Its rows go, in all projects; where it, or a copy, is over there or may be, one stays,
        ERASED, until that is deleted. How many of those are new."""
        its = LabelingTaskRow.image_id == image_id, LabelingTaskRow.state != TaskState.ERASED.value
        values = _closed(TaskState.ERASED, now) | {"reason": ""}
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


def _closed(state: TaskState, now: datetime) -> dict[str, Any]:
    """Nobody has a claim any more."""
    return {"state": state.value, "updated_at": now, "claim_token": None, "claimed_until": None}


def _sent_as(task_id: int, now: datetime) -> dict[str, Any]:
    return _closed(TaskState.SENT, now) | {"task_id": task_id}


def _ask(session: Session, wanted: Sequence[Mapping[str, Any]]) -> int:
    insert = insert_into(session, LabelingTaskRow).values(wanted)
    again = ("state", "asked", "rank", "reason", "updated_at")
    upsert = insert.on_conflict_do_update(
        index_elements=_KEY,
        set_={"task_id": None} | {name: insert.excluded[name] for name in again},
        where=_is_unsent,
    )
    return len(session.scalars(upsert.returning(LabelingTaskRow.image_id)).all())


def _disown(session: Session, project: str, task_ids: Collection[int], now: datetime) -> None:
    """A Label Studio set up anew numbers its tasks from 1 again: ours of the same numbers are of
    the one before."""
    numbers = sorted(task_ids)
    for start in range(0, len(numbers), AT_ONCE):
        there = LabelingTaskRow.task_id.in_(numbers[start : start + AT_ONCE])
        theirs = update(LabelingTaskRow).where(LabelingTaskRow.project == project, there)
        erased = LabelingTaskRow.state == TaskState.ERASED
        session.execute(theirs.where(erased).values(task_id=None))
        gone = _closed(TaskState.GONE, now) | {"task_id": None}
        session.execute(theirs.where(~erased).values(gone))
