"""Questions about images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Select, func, select

from pipeline.catalog.engine import Transactions
from pipeline.catalog.tables import ImageLabelRow, ImageRow
from pipeline.records import ImageState

LOOKS_KEPT = 4
_IDS_AT_ONCE = 500


@dataclass(frozen=True)
class ImageFilter:
    camera: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    label: str | None = None
    states: tuple[ImageState, ...] = ()
    limit: int | None = 50


class ImageQueries:
    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def same_bytes(self, source: str, sha256_received: str) -> ImageRow | None:
        """The source's image of these very bytes, unless it is still being stored."""
        query = select_same_bytes(source, sha256_received).where(
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

    def get(self, image_id: str) -> ImageRow | None:
        with self._transactions.reading() as session:
            return session.get(ImageRow, image_id)

    def search(self, wanted: ImageFilter) -> Sequence[ImageRow]:
        """Newest first."""
        with self._transactions.reading() as session:
            return session.scalars(_select(wanted)).all()

    def states(self, image_ids: Sequence[str]) -> dict[str, ImageState]:
        """Image to state, of those that have a row."""
        found: dict[str, ImageState] = {}
        with self._transactions.reading() as session:
            for start in range(0, len(image_ids), _IDS_AT_ONCE):
                some = image_ids[start : start + _IDS_AT_ONCE]
                query = select(ImageRow.id, ImageRow.state).where(ImageRow.id.in_(some))
                found |= {image: ImageState(state) for image, state in session.execute(query)}
        return found

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


def select_same_bytes(source: str, sha256_received: str) -> Select[ImageRow]:
    return select(ImageRow).where(
        ImageRow.source == source, ImageRow.sha256_received == sha256_received
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
