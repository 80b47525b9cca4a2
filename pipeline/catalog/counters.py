"""How often each outcome was met, per source and hour."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pipeline.catalog.engine import Transactions, insert_into
from pipeline.catalog.tables import CounterRow


class Counters:
    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def add(self, source: str, outcome: str, at: datetime) -> None:
        with self._transactions.writing() as session:
            count(session, source, outcome, at)

    def totals(self, since: datetime | None = None) -> dict[str, dict[str, int]]:
        """Source to outcome to count."""
        query = select(CounterRow.source, CounterRow.outcome, func.sum(CounterRow.count)).group_by(
            CounterRow.source, CounterRow.outcome
        )
        if since is not None:
            query = query.where(CounterRow.hour >= _hour(since))
        found: dict[str, dict[str, int]] = {}
        with self._transactions.reading() as session:
            for source, outcome, total in session.execute(query):
                found.setdefault(source, {})[outcome] = int(total)
        return found


def count(session: Session, source: str, outcome: str, at: datetime) -> None:
    """Add one, within the session's transaction."""
    session.execute(
        insert_into(session, CounterRow)
        .values(source=source, hour=_hour(at), outcome=outcome, count=1)
        .on_conflict_do_update(
            index_elements=["source", "hour", "outcome"],
            set_={"count": CounterRow.count + 1},
        )
    )


def _hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)
