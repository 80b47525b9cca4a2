"""Who sends which images to a Label Studio now."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from pipeline.catalog.engine import change, insert_into
from pipeline.catalog.labeling.queries import (
    AT_ONCE,
    Conditions,
    LabelingQueries,
    has_lapsed,
)
from pipeline.catalog.labeling.quota import choose, is_free
from pipeline.catalog.tables import LabelingProjectRow, LabelingTaskRow

_ORDER = (LabelingTaskRow.asked.desc(), LabelingTaskRow.rank, LabelingTaskRow.image_id)


class LabelingClaims(LabelingQueries):
    def claim(  # noqa: PLR0913  all that bounds a claim is said at once
        self,
        project: str,
        token: str,
        now: datetime,
        until: datetime,
        limit: int,
        per_source_and_day: int | None = None,
    ) -> Sequence[LabelingTaskRow]:
        """Images to send, `token`'s until then: what a person asked for first, then by rank.

        A source has at most `per_source_and_day` of a day sent or being sent, not counting on what
        a person asks for; its others stay waiting. A claim that ran out is not free: see abandoned.
        """
        with self._transactions.writing() as session:
            lock_project(session, project)
            chosen = choose(session, project, limit, per_source_and_day)
            for start in range(0, len(chosen), AT_ONCE):
                some = LabelingTaskRow.image_id.in_(chosen[start : start + AT_ONCE])
                _give(session, (*is_free(project), some), token, now, until)
            return _held(session, project, token)

    def take_over(
        self, project: str, image_ids: Sequence[str], token: str, now: datetime, until: datetime
    ) -> Sequence[LabelingTaskRow]:
        """Those of the abandoned that nobody took over before: they are `token`'s until then."""
        with self._transactions.writing() as session:
            lock_project(session, project)
            for start in range(0, len(image_ids), AT_ONCE):
                some = LabelingTaskRow.image_id.in_(image_ids[start : start + AT_ONCE])
                _give(session, (*has_lapsed(project, now), some), token, now, until)
            return _held(session, project, token)

    def release(self, project: str, token: str) -> int:
        """The claim ends, and nothing was sent; how many are free again."""
        free = {"claim_token": None, "claimed_until": None}
        with self._transactions.writing() as session:
            mine = update(LabelingTaskRow).where(*is_held(project, token))
            return change(session, mine.values(free))


def lock_project(session: Session, project: str) -> None:
    """Its row is there now, and this transaction's: one at a time counts what may be sent."""
    session.execute(
        insert_into(session, LabelingProjectRow)
        .values(project=project)
        .on_conflict_do_update(index_elements=["project"], set_={"project": project})
    )


def is_held(project: str, token: str) -> Conditions:
    return LabelingTaskRow.project == project, LabelingTaskRow.claim_token == token


def _give(session: Session, which: Conditions, token: str, now: datetime, until: datetime) -> None:
    values = {"claim_token": token, "claimed_until": until, "updated_at": now}
    session.execute(update(LabelingTaskRow).where(*which).values(values))


def _held(session: Session, project: str, token: str) -> Sequence[LabelingTaskRow]:
    query = select(LabelingTaskRow).where(*is_held(project, token)).order_by(*_ORDER)
    return session.scalars(query).all()
