"""How many polls may run against one host at once, as rows that are claimed and run out."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select, update

from pipeline.catalog.engine import Transactions, change, insert_into
from pipeline.catalog.tables import HostSlotRow


class Slots:
    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def claim(self, host: str, slots: int, token: str, now: datetime, until: datetime) -> bool:
        """Whether one of the host's `slots` was free; it is `token`'s until then."""
        with self._transactions.writing() as session:
            rows = [{"host": host, "slot": slot} for slot in range(slots)]
            session.execute(insert_into(session, HostSlotRow).values(rows).on_conflict_do_nothing())
            free = HostSlotRow.until.is_(None) | (HostSlotRow.until < now)
            first = (
                select(HostSlotRow.slot)
                .where(HostSlotRow.host == host, HostSlotRow.slot < slots, free)
                .order_by(HostSlotRow.slot)
                .limit(1)
                .with_for_update(skip_locked=True)  # what another claims now is not free
                .scalar_subquery()
            )
            claimed = change(
                session,
                update(HostSlotRow)
                .where(HostSlotRow.host == host, HostSlotRow.slot == first, free)
                .values(token=token, until=until),
            )
            return claimed == 1

    def free(self, host: str, slots: int, now: datetime) -> int:
        """How many of the host's slots are nobody's."""
        taken = (
            select(func.count())
            .select_from(HostSlotRow)
            .where(HostSlotRow.host == host, HostSlotRow.slot < slots, HostSlotRow.until >= now)
        )
        with self._transactions.reading() as session:
            return slots - session.scalars(taken).one()

    def release_all(self) -> None:
        """For a process that knows nobody polls now."""
        with self._transactions.writing() as session:
            session.execute(update(HostSlotRow).values(token=None, until=None))

    def release(self, token: str) -> None:
        with self._transactions.writing() as session:
            session.execute(
                update(HostSlotRow).where(HostSlotRow.token == token).values(token=None, until=None)
            )
