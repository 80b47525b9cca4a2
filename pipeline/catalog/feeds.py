"""Feeds: when each list of cameras is due to be asked for, who asks now, and how it went."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session

from pipeline.catalog.engine import Transactions, change, insert_into
from pipeline.catalog.tables import FeedRow

_AT_ONCE = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True)
class FeedEnd:
    """How asking a feed ended, and when it is due again. It failed where there is a `reason`;
    else `cameras` were listed, and those in `taken_up` are now known."""

    at: datetime
    due_at: datetime
    reason: str = ""
    cameras: int = 0
    taken_up: Sequence[str] = ()


class Feeds:
    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def all(self) -> Sequence[FeedRow]:
        """By name. One without `found_at` and `reason` was never asked."""
        with self._transactions.reading() as session:
            return session.scalars(select(FeedRow).order_by(FeedRow.id)).all()

    def due(self, feeds: Sequence[str], now: datetime) -> Sequence[str]:
        """Those of `feeds` that are due, or were never asked."""
        waiting = select(FeedRow.id).where(~_is_due(now))
        with self._transactions.reading() as session:
            waits = set(session.scalars(waiting))
        return [feed for feed in feeds if feed not in waits]

    def claim(self, feed: str, token: str, now: datetime, until: datetime) -> FeedRow | None:
        """The feed, if it was due and free: asking it is `token`'s affair until then."""
        with self._transactions.writing() as session:
            _add(session, feed)
            claimed = change(
                session,
                update(FeedRow)
                .where(FeedRow.id == feed, _is_due(now))
                .values(lease_token=token, lease_until=until),
            )
            return session.get(FeedRow, feed) if claimed == 1 else None

    def finish(self, feed: str, token: str, end: FeedEnd) -> bool:
        """End the lease and note how it went: once, or not at all if it was lost."""
        with self._transactions.writing() as session:
            row = session.get(FeedRow, feed, with_for_update=True)
            if row is None or row.lease_token != token:
                return False
            row.lease_token = row.lease_until = None
            row.due_at, row.reason = end.due_at, end.reason
            if end.reason:
                row.failures += 1
            else:
                row.failures, row.found_at, row.cameras = 0, end.at, end.cameras
                _know(row, end.taken_up)
            return True

    def mark_known(self, feed: str, camera_id: str) -> None:
        """The feed does not bring this camera again by itself."""
        with self._transactions.writing() as session:
            _add(session, feed)
            _know(session.get_one(FeedRow, feed, with_for_update=True), [camera_id])


def _add(session: Session, feed: str) -> None:
    """The feed's row, where there is none yet."""
    new = insert_into(session, FeedRow).values(id=feed, due_at=_AT_ONCE)
    session.execute(new.on_conflict_do_nothing())


def _know(row: FeedRow, camera_ids: Iterable[str]) -> None:
    row.known = sorted({*row.known, *camera_ids})


def _is_due(now: datetime) -> ColumnElement[bool]:
    is_free = FeedRow.lease_until.is_(None) | (FeedRow.lease_until <= now)
    return (FeedRow.due_at <= now) & is_free
