"""Work on images: claiming one for a stage, and announcing again what has no result."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import func, select, update

from pipeline.catalog.engine import Transactions, change
from pipeline.catalog.tables import ImageRow
from pipeline.records import ImageState

MAX_ATTEMPTS = 3
_WAITING = (ImageState.STORED.value, ImageState.AWAITING_MODEL.value)
_FIRST_DELAY_S = 120
_LONGEST_DELAY_S = 3600
_MODEL_DELAY_S = 600


class Work:
    """Attempts are counted before the work starts: an image that kills its worker is met thrice."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def claim(self, image_id: str, token: str, now: datetime, until: datetime) -> bool:
        """Whether the image waits, is nobody's and has attempts left; now it is `token`'s."""
        with self._transactions.writing() as session:
            claimed = change(
                session,
                update(ImageRow)
                .where(
                    ImageRow.id == image_id,
                    ImageRow.state.in_(_WAITING),
                    ImageRow.attempts < MAX_ATTEMPTS,
                    ImageRow.claimed_until.is_(None) | (ImageRow.claimed_until < now),
                )
                .values(
                    attempts=ImageRow.attempts + 1,
                    claim_token=token,
                    claimed_until=until,
                    updated_at=now,
                ),
            )
            return claimed == 1

    def give_back(self, image_id: str, token: str, *, counted: bool) -> None:
        """End a claim without a result; `counted` says whether it was an attempt."""
        with self._transactions.writing() as session:
            session.execute(
                update(ImageRow)
                .where(ImageRow.id == image_id, ImageRow.claim_token == token)
                .values(
                    attempts=ImageRow.attempts - (0 if counted else 1),
                    claim_token=None,
                    claimed_until=None,
                )
            )

    def await_model(self, image_id: str, token: str, reason: str, announce_at: datetime) -> None:
        """End a claim that found no model: no attempt, announced again at `announce_at`."""
        with self._transactions.writing() as session:
            session.execute(
                update(ImageRow)
                .where(ImageRow.id == image_id, ImageRow.claim_token == token)
                .values(
                    state=ImageState.AWAITING_MODEL.value,
                    reason=reason,
                    attempts=ImageRow.attempts - 1,
                    claim_token=None,
                    claimed_until=None,
                    announce_at=announce_at,
                )
            )

    def quarantine(self, image_id: str, token: str | None, reason: str, now: datetime) -> bool:
        """Give an image up; without a token, one that has used its attempts and is nobody's."""
        mine = (
            ImageRow.claim_token == token
            if token is not None
            else (ImageRow.attempts >= MAX_ATTEMPTS)
            & (ImageRow.claimed_until.is_(None) | (ImageRow.claimed_until < now))
        )
        with self._transactions.writing() as session:
            given_up = change(
                session,
                update(ImageRow)
                .where(ImageRow.id == image_id, ImageRow.state.in_(_WAITING), mine)
                .values(
                    state=ImageState.QUARANTINED.value,
                    reason=reason,
                    updated_at=now,
                    claim_token=None,
                    claimed_until=None,
                    announce_at=None,
                ),
            )
            return given_up == 1

    def release_claims(self) -> None:
        """For a process that knows nobody else works: claims were left by a dead one."""
        with self._transactions.writing() as session:
            session.execute(
                update(ImageRow)
                .where(ImageRow.claim_token.is_not(None))
                .values(claim_token=None, claimed_until=None)
            )

    def announce_all(self, now: datetime) -> None:
        """Make every waiting image due for announcement."""
        with self._transactions.writing() as session:
            session.execute(
                update(ImageRow).where(ImageRow.state.in_(_WAITING)).values(announce_at=now)
            )

    def announce_awaiting(self, now: datetime) -> int:
        """A model has come: make every image that awaits one due for announcement; how many."""
        with self._transactions.writing() as session:
            return change(
                session,
                update(ImageRow)
                .where(
                    ImageRow.state == ImageState.AWAITING_MODEL.value, ImageRow.announce_at > now
                )
                .values(announce_at=now),
            )

    def take_due(self, now: datetime, limit: int) -> Sequence[str]:
        """Images to announce again, oldest first; each is due later the next time."""
        with self._transactions.writing() as session:
            query = (
                select(ImageRow)
                .where(ImageRow.state.in_(_WAITING), ImageRow.announce_at <= now)
                .order_by(ImageRow.announce_at, ImageRow.captured_at)
                .limit(limit)
                .with_for_update(skip_locked=True)  # another sweep takes those now
            )
            rows = session.scalars(query).all()
            for row in rows:
                delay_s = min(_FIRST_DELAY_S * 2**row.announcements, _LONGEST_DELAY_S)
                if row.state == ImageState.AWAITING_MODEL:
                    delay_s = max(delay_s, _MODEL_DELAY_S)
                row.announcements += 1
                row.announce_at = now + timedelta(seconds=delay_s)
            return [row.id for row in rows]

    def in_flight(self, now: datetime) -> int:
        """Images that wait and were announced, or stored, a short while ago."""
        query = (
            select(func.count())
            .select_from(ImageRow)
            .where(ImageRow.state == ImageState.STORED.value, ImageRow.announce_at > now)
        )
        with self._transactions.reading() as session:
            return session.scalars(query).one()
