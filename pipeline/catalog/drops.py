"""The list of frames that were not kept and polls that failed, one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select

from pipeline.catalog.engine import Transactions, change
from pipeline.catalog.tables import DropRow


@dataclass(frozen=True)
class DropFilter:
    camera: str | None = None
    outcome: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    restorable: bool = False
    limit: int = 50


class Drops:
    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def search(self, wanted: DropFilter) -> Sequence[DropRow]:
        """Newest first."""
        query = select(DropRow).order_by(DropRow.at.desc(), DropRow.id.desc()).limit(wanted.limit)
        if wanted.camera is not None:
            query = query.where(DropRow.source == wanted.camera)
        if wanted.outcome is not None:
            query = query.where(DropRow.outcome == wanted.outcome)
        if wanted.since is not None:
            query = query.where(DropRow.at >= wanted.since)
        if wanted.until is not None:
            query = query.where(DropRow.at < wanted.until)
        if wanted.restorable:
            query = query.where(DropRow.expires_at.is_not(None), DropRow.restored_at.is_(None))
        with self._transactions.reading() as session:
            return session.scalars(query).all()

    def forget_before(self, at: datetime) -> int:
        """Remove what was listed before `at` and has no bytes waiting; how many."""
        with self._transactions.writing() as session:
            gone = change(
                session, delete(DropRow).where(DropRow.at < at, DropRow.expires_at.is_(None))
            )
            return gone
