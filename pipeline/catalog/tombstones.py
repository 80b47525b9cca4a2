"""Erased images, by id and by bytes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select, update

from pipeline.catalog.engine import Transactions, insert_into
from pipeline.catalog.tables import TombstoneRow
from pipeline.records import Tombstone


class Tombstones:
    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def add(self, tombstone: Tombstone, repeat_until: datetime) -> None:
        """Note an erased image; may be repeated."""
        about = tombstone.model_dump(include={"source", "sha256_received", "erased_at"})
        values = {**about, "repeat_until": repeat_until}
        with self._transactions.writing() as session:
            session.execute(
                insert_into(session, TombstoneRow)
                .values(id=tombstone.id, **values)
                .on_conflict_do_update(index_elements=["id"], set_=values)
            )

    def erased(self, source: str, sha256_received: str) -> str | None:
        """The id of the source's erased image of these very bytes."""
        query = select(TombstoneRow.id).where(
            TombstoneRow.source == source, TombstoneRow.sha256_received == sha256_received
        )
        with self._transactions.reading() as session:
            return session.scalars(query.limit(1)).one_or_none()

    def to_repeat(self) -> Sequence[TombstoneRow]:
        query = select(TombstoneRow).where(TombstoneRow.repeat_until.is_not(None))
        with self._transactions.reading() as session:
            return session.scalars(query).all()

    def end_repeats(self, now: datetime) -> None:
        """Stop repeating the deletes whose time is over."""
        with self._transactions.writing() as session:
            session.execute(
                update(TombstoneRow)
                .where(TombstoneRow.repeat_until <= now)
                .values(repeat_until=None)
            )

    def all(self) -> Sequence[TombstoneRow]:
        with self._transactions.reading() as session:
            return session.scalars(select(TombstoneRow).order_by(TombstoneRow.id)).all()
