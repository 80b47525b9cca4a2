"""Images: from the first row of one that is being stored to what was found in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from pipeline.catalog.counters import count
from pipeline.catalog.engine import change, insert_into
from pipeline.catalog.image_queries import LOOKS_KEPT, ImageFilter, ImageQueries, select_same_bytes
from pipeline.catalog.tables import DropRow, ImageLabelRow, ImageRow
from pipeline.errors import CatalogError
from pipeline.records import FACE, VEHICLES, Detections, ImageState, Outcome

_OVER = frozenset({ImageState.DETECTED.value, ImageState.EXPIRED.value})
_TRIES = 3
_RESTORABLE = (ImageState.STORING.value, ImageState.DROPPED.value, ImageState.EXPIRED.value)


__all__ = ["Description", "Drop", "Found", "ImageFilter", "Images", "NewImage"]


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
    look: Mapping[str, Any] | None = None  # the anonymised one, in place of ingest's

    @classmethod
    def summary_of(cls, result: Detections, look: Mapping[str, Any] | None = None) -> Found:
        labels = Counter(detection.label for detection in result.detections)
        return cls(result.detected_at, result.count(FACE), result.count(*VEHICLES), labels, look)


class Images(ImageQueries):
    def begin(self, new: NewImage, now: datetime) -> ImageRow:
        """The row `storing`; where the same bytes of the source have a row already, that one."""
        with self._transactions.writing() as session:
            row = _insert_or_find(session, new, now)
            if row.state == ImageState.STORING:
                row.updated_at = now  # half-stored before, and now in work again
            return row

    def mark_stored(
        self, image_id: str, about: Description, announce_at: datetime, now: datetime
    ) -> bool:
        """Whether it was being stored, or was dropped or given up, and now is stored."""
        with self._transactions.writing() as session:
            stored = change(
                session,
                update(ImageRow)
                .where(
                    ImageRow.id == image_id,
                    ImageRow.state.in_(_RESTORABLE),
                )
                .values(
                    state=ImageState.STORED.value,
                    reason="",
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
            row = session.get(ImageRow, image_id, with_for_update=True)
            if row is None:
                return False
            row.state = ImageState.DETECTED.value
            row.updated_at = found.at
            row.reason = ""
            row.claim_token = row.claimed_until = row.announce_at = None
            row.faces, row.vehicles = found.faces, found.vehicles
            if row.look is not None and found.look is not None:
                row.look = dict(found.look)
            row.labels = [
                ImageLabelRow(label=label, count=count) for label, count in found.labels.items()
            ]
            return True

    def mark_undetected(self, image_id: str, reason: str, now: datetime) -> bool:
        """Whether an image that never was detected is now given up, counted and listed."""
        with self._transactions.writing() as session:
            row = session.get(ImageRow, image_id, with_for_update=True)
            if row is None or row.state in _OVER:
                return False
            row.reason = f"{row.reason}; {reason}" if row.reason else reason
            row.state, row.updated_at = ImageState.EXPIRED.value, now
            row.claim_token = row.claimed_until = row.announce_at = row.look = None
            count(session, row.source, Outcome.UNDETECTED, now)
            session.add(
                DropRow(
                    source=row.source,
                    at=now,
                    outcome=Outcome.UNDETECTED.value,
                    reason=row.reason,
                    image_id=image_id,
                )
            )
            return True

    def mark_expired(self, image_id: str, now: datetime) -> None:
        """A near-duplicate can no longer be restored."""
        with self._transactions.writing() as session:
            session.execute(
                update(ImageRow)
                .where(ImageRow.id == image_id, ImageRow.state == ImageState.DROPPED.value)
                .values(state=ImageState.EXPIRED.value, updated_at=now)
            )
            session.execute(
                update(DropRow).where(DropRow.image_id == image_id).values(expires_at=None)
            )

    def remove_half_stored(self, image_id: str, before: datetime) -> bool:
        """Whether nobody had stored it, or taken it up again, since then."""
        with self._transactions.writing() as session:
            half = (
                ImageRow.id == image_id,
                ImageRow.state == ImageState.STORING.value,
                ImageRow.updated_at <= before,
            )
            return change(session, delete(ImageRow).where(*half)) == 1

    def remove(self, image_id: str) -> None:
        with self._transactions.writing() as session:
            session.execute(delete(ImageRow).where(ImageRow.id == image_id))
            session.execute(delete(DropRow).where(DropRow.image_id == image_id))


def _insert_or_find(session: Session, new: NewImage, now: datetime) -> ImageRow:
    """The row, ours until the end of the transaction."""
    insert = insert_into(session, ImageRow).values(
        id=new.id,
        source=new.source,
        sha256_received=new.sha256_received,
        captured_at=new.captured_at,
        state=ImageState.STORING.value,
        updated_at=now,
    )
    same_bytes = select_same_bytes(new.source, new.sha256_received).with_for_update()
    for _ in range(_TRIES):
        session.execute(insert.on_conflict_do_nothing())
        if row := session.scalars(same_bytes).one_or_none():
            return row  # none: another's, and removed since
    raise CatalogError(f"{new.id} is the id of other bytes")


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
