"""Images: from the first row of one that is being stored to what was found in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Select, delete, func, select, update
from sqlalchemy.orm import Session

from pipeline.catalog.engine import Transactions, change, insert_into
from pipeline.catalog.tables import DropRow, ImageLabelRow, ImageRow
from pipeline.records import FACE, VEHICLES, Detections, ImageState, Outcome

LOOKS_KEPT = 4


@dataclass(frozen=True)
class NewImage:
    id: str
    source: str
    sha256_received: str
    captured_at: datetime


@dataclass(frozen=True)
class Description:
    """What ingest found out about an image."""

    width: int
    height: int
    phash: str
    look: Mapping[str, Any]


@dataclass(frozen=True)
class Drop:
    """Why a near-duplicate was not kept, and until when its bytes wait."""

    at: datetime
    reason: str
    resembles: str | None
    expires_at: datetime


@dataclass(frozen=True)
class Found:
    """What detection found in an image."""

    at: datetime
    faces: int
    vehicles: int
    labels: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def summary_of(cls, result: Detections) -> Found:
        labels = Counter(detection.label for detection in result.detections)
        return cls(result.detected_at, result.count(FACE), result.count(*VEHICLES), labels)


@dataclass(frozen=True)
class ImageFilter:
    camera: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    label: str | None = None
    states: tuple[ImageState, ...] = ()
    limit: int | None = 50


class Images:
    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def begin(self, new: NewImage, now: datetime) -> ImageRow:
        """The row `storing`; where the same bytes of the source have a row already, that one."""
        with self._transactions.writing() as session:
            session.execute(
                insert_into(session, ImageRow)
                .values(
                    id=new.id,
                    source=new.source,
                    sha256_received=new.sha256_received,
                    captured_at=new.captured_at,
                    state=ImageState.STORING.value,
                    updated_at=now,
                    reason="",
                    attempts=0,
                    announcements=0,
                    faces=0,
                    vehicles=0,
                )
                .on_conflict_do_nothing()
            )
            return session.scalars(_same_bytes(new.source, new.sha256_received)).one()

    def same_bytes(self, source: str, sha256_received: str) -> ImageRow | None:
        """The source's image of these very bytes, unless it is still being stored."""
        query = _same_bytes(source, sha256_received).where(
            ImageRow.state != ImageState.STORING.value
        )
        with self._transactions.reading() as session:
            return session.scalars(query).one_or_none()

    def recent_looks(self, source: str) -> Sequence[ImageRow]:
        """The source's last four kept images, newest first."""
        query = (
            select(ImageRow)
            .where(ImageRow.source == source, ImageRow.look.is_not(None))
            .order_by(ImageRow.captured_at.desc())
            .limit(LOOKS_KEPT)
        )
        with self._transactions.reading() as session:
            return session.scalars(query).all()

    def mark_stored(
        self, image_id: str, about: Description, announce_at: datetime, now: datetime
    ) -> bool:
        """Whether it was being stored, or was dropped, and now is stored."""
        with self._transactions.writing() as session:
            stored = change(
                session,
                update(ImageRow)
                .where(
                    ImageRow.id == image_id,
                    ImageRow.state.in_([ImageState.STORING.value, ImageState.DROPPED.value]),
                )
                .values(
                    state=ImageState.STORED.value,
                    updated_at=now,
                    announce_at=announce_at,
                    width=about.width,
                    height=about.height,
                    phash=about.phash,
                    look=dict(about.look),
                ),
            )
            if stored != 1:
                return False
            session.execute(
                update(DropRow)
                .where(DropRow.image_id == image_id, DropRow.restored_at.is_(None))
                .values(restored_at=now, expires_at=None)
            )
            _forget_looks(session, image_id)
            return True

    def mark_dropped(self, image_id: str, about: Description, drop: Drop) -> bool:
        """Whether it was being stored and now is a listed near-duplicate."""
        with self._transactions.writing() as session:
            dropped = change(
                session,
                update(ImageRow)
                .where(ImageRow.id == image_id, ImageRow.state == ImageState.STORING.value)
                .values(
                    state=ImageState.DROPPED.value,
                    updated_at=drop.at,
                    reason=drop.reason,
                    width=about.width,
                    height=about.height,
                    phash=about.phash,
                ),
            )
            if dropped != 1:
                return False
            source = session.scalars(select(ImageRow.source).where(ImageRow.id == image_id)).one()
            session.add(
                DropRow(
                    source=source,
                    at=drop.at,
                    outcome=Outcome.NEAR_DUPLICATE.value,
                    reason=drop.reason,
                    resembles=drop.resembles,
                    image_id=image_id,
                    expires_at=drop.expires_at,
                )
            )
            return True

    def mark_detected(self, image_id: str, found: Found) -> bool:
        """Whether the image has a row that now says what was found in it; may be repeated."""
        with self._transactions.writing() as session:
            row = session.get(ImageRow, image_id)
            if row is None:
                return False
            row.state = ImageState.DETECTED.value
            row.updated_at = found.at
            row.reason = ""
            row.claim_token = row.claimed_until = row.announce_at = None
            row.faces, row.vehicles = found.faces, found.vehicles
            row.labels = [
                ImageLabelRow(label=label, count=count) for label, count in found.labels.items()
            ]
            return True

    def mark_expired(self, image_id: str, reason: str, now: datetime) -> bool:
        """Whether an image that was never detected is now given up."""
        undetected = [state.value for state in ImageState if state is not ImageState.DETECTED]
        with self._transactions.writing() as session:
            expired = change(
                session,
                update(ImageRow)
                .where(ImageRow.id == image_id, ImageRow.state.in_(undetected))
                .values(
                    state=ImageState.EXPIRED.value,
                    reason=reason,
                    updated_at=now,
                    announce_at=None,
                    look=None,
                ),
            )
            session.execute(
                update(DropRow).where(DropRow.image_id == image_id).values(expires_at=None)
            )
            return expired == 1

    def remove(self, image_id: str) -> None:
        with self._transactions.writing() as session:
            session.execute(delete(DropRow).where(DropRow.image_id == image_id))
            session.execute(delete(ImageRow).where(ImageRow.id == image_id))

    def get(self, image_id: str) -> ImageRow | None:
        with self._transactions.reading() as session:
            return session.get(ImageRow, image_id)

    def search(self, wanted: ImageFilter) -> Sequence[ImageRow]:
        """Newest first."""
        with self._transactions.reading() as session:
            return session.scalars(_select(wanted)).all()

    def count(self, wanted: ImageFilter) -> int:
        """How many there are, whatever the filter's limit."""
        matching = _select(replace(wanted, limit=None)).order_by(None).subquery()
        with self._transactions.reading() as session:
            return session.scalars(select(func.count()).select_from(matching)).one()

    def count_by_state(self) -> dict[str, dict[str, int]]:
        """Source to state to count."""
        query = select(ImageRow.source, ImageRow.state, func.count()).group_by(
            ImageRow.source, ImageRow.state
        )
        found: dict[str, dict[str, int]] = {}
        with self._transactions.reading() as session:
            for source, state, total in session.execute(query):
                found.setdefault(source, {})[state] = total
        return found

    def count_labels(self) -> dict[str, dict[str, int]]:
        """Source to label to how often it was found."""
        query = (
            select(ImageRow.source, ImageLabelRow.label, func.sum(ImageLabelRow.count))
            .join(ImageLabelRow, ImageLabelRow.image_id == ImageRow.id)
            .group_by(ImageRow.source, ImageLabelRow.label)
        )
        found: dict[str, dict[str, int]] = {}
        with self._transactions.reading() as session:
            for source, label, total in session.execute(query):
                found.setdefault(source, {})[label] = int(total)
        return found


def _same_bytes(source: str, sha256_received: str) -> Select[ImageRow]:
    return select(ImageRow).where(
        ImageRow.source == source, ImageRow.sha256_received == sha256_received
    )


def _forget_looks(session: Session, image_id: str) -> None:
    """Keep the looks of the source's newest four alone: a look is kilobytes."""
    source = select(ImageRow.source).where(ImageRow.id == image_id).scalar_subquery()
    newest = (
        select(ImageRow.id)
        .where(ImageRow.source == source, ImageRow.look.is_not(None))
        .order_by(ImageRow.captured_at.desc())
        .limit(LOOKS_KEPT)
    )
    kept = session.scalars(newest).all()
    session.execute(
        update(ImageRow)
        .where(ImageRow.source == source, ImageRow.look.is_not(None), ImageRow.id.not_in(kept))
        .values(look=None)
    )


def _select(wanted: ImageFilter) -> Select[ImageRow]:
    query = select(ImageRow).order_by(ImageRow.captured_at.desc(), ImageRow.id.desc())
    if wanted.camera is not None:
        query = query.where(ImageRow.source == wanted.camera)
    if wanted.since is not None:
        query = query.where(ImageRow.captured_at >= wanted.since)
    if wanted.until is not None:
        query = query.where(ImageRow.captured_at < wanted.until)
    if wanted.label is not None:
        query = query.where(ImageRow.labels.any(ImageLabelRow.label == wanted.label))
    if wanted.states:
        query = query.where(ImageRow.state.in_([state.value for state in wanted.states]))
    return query if wanted.limit is None else query.limit(wanted.limit)
