"""Projects of a Label Studio: how far their changes were followed, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select

from pipeline.catalog.engine import Transactions, insert_into
from pipeline.catalog.tables import LabelingProjectRow


class LabelingProjects:
    """A project's row is made by the first thing that is said of it."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def get(self, project: str) -> LabelingProjectRow | None:
        with self._transactions.reading() as session:
            return session.get(LabelingProjectRow, project)

    def all(self) -> Sequence[LabelingProjectRow]:
        with self._transactions.reading() as session:
            query = select(LabelingProjectRow).order_by(LabelingProjectRow.project)
            return session.scalars(query).all()

    def contacted(self, project: str, now: datetime) -> None:
        """It answered: whatever was wrong is over, also what was noted of its server before."""
        self._set(project, contacted_at=now, reason="")
        nameless = f"{project.rpartition('#')[0]}#"
        with self._transactions.writing() as session:
            session.execute(
                delete(LabelingProjectRow).where(LabelingProjectRow.project == nameless)
            )

    def failed(self, project: str, reason: str) -> None:
        self._set(project, reason=reason)

    def follow(self, project: str, to: datetime) -> None:
        """All changes up to `to` are here."""
        self._set(project, followed_to=to)

    def compared(self, project: str, now: datetime) -> None:
        """All its tasks were gone through."""
        self._set(project, compared_at=now)

    def note(self, project: str, notes: Sequence[str]) -> None:
        """What a person should know of it, instead of what was noted before."""
        self._set(project, notes=list(notes))

    def renote(self, project: str, notes: Sequence[str], instead_of: Callable[[str], bool]) -> None:
        """These come first, instead of those that `instead_of` is true of; the others stay."""
        row = self.get(project)
        before = row.notes if row else []
        now = [*notes, *(note for note in before if not instead_of(note))]
        if now != before:
            self.note(project, now)

    def _set(self, project: str, **values: Any) -> None:
        with self._transactions.writing() as session:
            session.execute(
                insert_into(session, LabelingProjectRow)
                .values(project=project, **values)
                .on_conflict_do_update(index_elements=["project"], set_=values)
            )
