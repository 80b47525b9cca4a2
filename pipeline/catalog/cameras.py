"""Cameras: what they are, when they are due, and the lease of the poll under way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from pipeline.catalog.counters import count
from pipeline.catalog.engine import Transactions, change, insert_into
from pipeline.catalog.tables import CameraRow, DropRow, FeedRow, HostSlotRow
from pipeline.records import NOTHING_NEW, Camera, Outcome

COUNTED_ONLY = NOTHING_NEW | {Outcome.KEPT}


@dataclass(frozen=True)
class PollEnd:
    """How a poll ended, and when the camera is due again."""

    outcome: Outcome
    at: datetime
    due_at: datetime
    reason: str = ""
    resembles: str | None = None
    listed: bool = False  # whether the drop is in the list already, with its bytes
    failed: bool = False
    etag: str | None = None
    last_modified: str | None = None


class Cameras:
    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def save(self, camera: Camera, due_at: datetime) -> None:
        """Add a camera, or change one; the first poll is at `due_at`."""
        with self._transactions.writing() as session:
            session.execute(
                _insertion(session, camera, due_at).on_conflict_do_update(
                    index_elements=["id"], set_={"id": CameraRow.id}
                )
            )  # the row is there now, and ours until the end
            _change(session.get_one(CameraRow, camera.id), camera, due_at)

    def add_listed(self, camera: Camera, due_at: datetime) -> bool:
        """Add a feed's camera, if there is none by its id and none was removed."""
        with self._transactions.writing() as session:
            feed = session.get(FeedRow, camera.feed, with_for_update=True)
            if feed is not None and camera.id in feed.known:
                return False
            added = _insertion(session, camera, due_at).on_conflict_do_nothing()
            return session.scalar(added.returning(CameraRow.id)) is not None

    def replace(self, before: Camera, camera: Camera, due_at: datetime) -> bool:
        """Change a camera, if it still is what it was `before`."""
        with self._transactions.writing() as session:
            row = session.get(CameraRow, camera.id, with_for_update=True)
            if row is None or camera_of(row) != before:
                return False
            _change(row, camera, due_at)
            return True

    def remove(self, camera_id: str) -> bool:
        with self._transactions.writing() as session:
            gone = change(session, delete(CameraRow).where(CameraRow.id == camera_id))
            return gone == 1

    def get(self, camera_id: str) -> CameraRow | None:
        with self._transactions.reading() as session:
            return session.get(CameraRow, camera_id)

    def all(self) -> Sequence[CameraRow]:
        with self._transactions.reading() as session:
            return session.scalars(select(CameraRow).order_by(CameraRow.id)).all()

    def due_hosts(self, now: datetime) -> Sequence[str]:
        """Hosts with a camera that is due."""
        query = select(CameraRow.host).where(*_is_due(now)).distinct().order_by(CameraRow.host)
        with self._transactions.reading() as session:
            return session.scalars(query).all()

    def due(self, host: str, now: datetime, limit: int) -> Sequence[CameraRow]:
        """The host's cameras that are due, the longest first."""
        query = (
            select(CameraRow)
            .where(CameraRow.host == host, *_is_due(now))
            .order_by(CameraRow.due_at)
            .limit(limit)
        )
        with self._transactions.reading() as session:
            return session.scalars(query).all()

    def claim(self, camera_id: str, token: str, now: datetime, until: datetime) -> bool:
        """Whether the camera was due and free; its poll is `token`'s until then."""
        with self._transactions.writing() as session:
            claimed = change(
                session,
                update(CameraRow)
                .where(CameraRow.id == camera_id, *_is_due(now))
                .values(lease_token=token, lease_until=until),
            )
            return claimed == 1

    def unclaim(self, camera_id: str, token: str) -> None:
        """The poll was never sent: the camera stays due."""
        with self._transactions.writing() as session:
            session.execute(
                update(CameraRow)
                .where(CameraRow.id == camera_id, CameraRow.lease_token == token)
                .values(lease_token=None, lease_until=None)
            )

    def begin_poll(
        self, camera_id: str, token: str, now: datetime, until: datetime
    ) -> CameraRow | None:
        """The camera, while `token` is its lease's and has not run out; now it and the host's slot
        last until then."""
        with self._transactions.writing() as session:
            begun = change(
                session,
                update(CameraRow)
                .where(
                    CameraRow.id == camera_id,
                    CameraRow.lease_token == token,
                    CameraRow.lease_until > now,
                )
                .values(lease_until=until),
            )
            if begun != 1:
                return None
            session.execute(
                update(HostSlotRow).where(HostSlotRow.token == token).values(until=until)
            )
            return session.get(CameraRow, camera_id)

    def leased_all(self) -> Sequence[CameraRow]:
        with self._transactions.reading() as session:
            query = select(CameraRow).where(CameraRow.lease_token.is_not(None))
            return session.scalars(query).all()

    def with_lapsed_lease(self, now: datetime) -> Sequence[CameraRow]:
        query = select(CameraRow).where(
            CameraRow.lease_token.is_not(None), CameraRow.lease_until <= now
        )
        with self._transactions.reading() as session:
            return session.scalars(query).all()

    def finish(self, camera_id: str, token: str, end: PollEnd) -> bool:
        """End the lease, count the outcome, list the drop: once, or not at all if it was lost."""
        with self._transactions.writing() as session:
            ended = change(
                session,
                update(CameraRow)
                .where(CameraRow.id == camera_id, CameraRow.lease_token == token)
                .values(_after(end)),
            )
            if ended != 1:
                return False
            session.execute(
                update(HostSlotRow).where(HostSlotRow.token == token).values(token=None, until=None)
            )
            count(session, camera_id, end.outcome, end.at)
            if end.outcome not in COUNTED_ONLY and not end.listed:
                _list(session, camera_id, end)
            return True


def camera_of(row: CameraRow) -> Camera:
    return Camera.model_validate(row.record)


def _insertion(
    session: Session, camera: Camera, due_at: datetime
) -> sqlite.Insert | postgresql.Insert:
    return insert_into(session, CameraRow).values(
        id=camera.id,
        record=camera.model_dump(mode="json"),
        host=_host(camera),
        paused=camera.paused,
        due_at=due_at,
    )


def _change(row: CameraRow, camera: Camera, due_at: datetime) -> None:
    before = camera_of(row)
    if before.url != camera.url:
        row.etag = row.last_modified = None  # they were of another picture
    if _turns(before) != _turns(camera):
        row.due_at = min(row.due_at, due_at)
    row.record = camera.model_dump(mode="json")
    row.host, row.paused = _host(camera), camera.paused


def _host(camera: Camera) -> str:
    return urlsplit(camera.url).netloc.rpartition("@")[2].lower()


def _turns(camera: Camera) -> tuple[str, float, bool]:
    """What a camera's next turn depends on: a change of anything else leaves a backoff alone."""
    return camera.url, camera.every_s, camera.paused


def _is_due(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return (
        CameraRow.due_at <= now,
        CameraRow.lease_token.is_(None),
        CameraRow.paused.is_(False),
    )


def _after(end: PollEnd) -> dict[str, object]:
    values: dict[str, object] = {
        "lease_token": None,
        "lease_until": None,
        "due_at": end.due_at,
        "polls": CameraRow.polls + 1,
        "polled_at": end.at,
        "outcome": end.outcome.value,
        "reason": end.reason,
        "failures": CameraRow.failures + 1 if end.failed else 0,
    }
    if not end.failed:
        values |= {"etag": end.etag, "last_modified": end.last_modified}
    if end.outcome is Outcome.KEPT:
        values["kept_at"] = end.at
    return values


def _list(session: Session, camera_id: str, end: PollEnd) -> None:
    session.add(
        DropRow(
            source=camera_id,
            at=end.at,
            outcome=end.outcome.value,
            reason=end.reason,
            resembles=end.resembles,
        )
    )
