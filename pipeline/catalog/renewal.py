"""A server's catalog made anew where it is, in one transaction: a kill leaves the old one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import delete, exists, func, or_, select, text, update
from sqlalchemy.orm import Session, aliased

from pipeline.catalog.catalog import Catalog, assemble, open_catalog
from pipeline.catalog.engine import Transactions, make_engine, translated
from pipeline.catalog.tables import (
    AnnotationRow,
    CameraRow,
    DropRow,
    HostSlotRow,
    ImageLabelRow,
    ImageRow,
    LabelingProjectRow,
    LabelingTaskRow,
    Table,
    TombstoneRow,
)
from pipeline.errors import UserError
from pipeline.records import ImageState
from pipeline.routes import ROUTES

_LOCKED: tuple[type[Table], ...] = (
    CameraRow,
    HostSlotRow,
    ImageRow,
    ImageLabelRow,
    DropRow,
    TombstoneRow,
    LabelingProjectRow,
    LabelingTaskRow,
    AnnotationRow,
)
_READER = "cli"  # may look on
_LEAVES_WITHIN_S = 5.0  # the server's end of a connection outlives the other one a little
_ASIDE = "aside:"  # before the id and the SHA-256 of an image's row that makes room for the store's
_IN_BULK = {"synchronize_session": False}


@contextmanager
def renewed(url: str) -> Iterator[Catalog]:
    """The catalog to be filled from the object store, without what the store tells. Others see the
    old one until the end, and cannot write meanwhile.

    What lives in the catalog alone stays: cameras' turns, feeds, counters, drops that cannot be
    restored, labeling tasks, and expired images' rows, unless the store has another by their id or
    bytes. What people said in Label Studio is followed anew from the start.
    UserError while anybody else is connected who writes.
    """
    open_catalog(url).close()  # whether its schema is ours
    engine = make_engine(url, patient=True)
    try:
        with translated(engine), engine.begin() as connection:
            transactions = Transactions(connection)
            with transactions.writing() as session:
                _refuse_company(session)
                _lock(session)
                _make_room(session)
            yield assemble(transactions)
            with transactions.writing() as session:
                _put_back(session)
    finally:
        engine.dispose()


def _refuse_company(session: Session) -> None:
    ends_at = time.monotonic() + _LEAVES_WITHIN_S
    while others := _list_company(session):
        if time.monotonic() > ends_at:
            stages = " ".join(dict.fromkeys(route.queue for route in ROUTES))
            raise UserError(
                f"the catalog is in use by {', '.join(others)}; stop the pipeline first: "
                f"docker compose stop {stages}"
            )
        time.sleep(0.1)
        session.execute(text("SELECT pg_stat_clear_snapshot()"))


def _list_company(session: Session) -> list[str]:
    found = session.scalars(
        text(
            "SELECT DISTINCT usename FROM pg_stat_activity WHERE datname = current_database() "
            f"AND pid <> pg_backend_pid() AND usename IS NOT NULL AND usename <> '{_READER}'"
        )
    )
    return sorted(found)


def _lock(session: Session) -> None:
    """Against all but reading."""
    names = ", ".join(one.__tablename__ for one in _LOCKED)
    session.execute(text(f"LOCK TABLE {names} IN EXCLUSIVE MODE"))


def _make_room(session: Session) -> None:
    waiting = DropRow.expires_at.is_not(None) & DropRow.restored_at.is_(None)
    aside = {"id": _ASIDE + ImageRow.id, "sha256_received": _ASIDE + ImageRow.sha256_received}
    for statement in (
        delete(ImageLabelRow),
        delete(ImageRow).where(ImageRow.state != ImageState.EXPIRED.value),
        update(ImageRow).values(aside),
        delete(TombstoneRow),
        delete(DropRow).where(waiting),  # of what lies in raw/dropped/
        update(HostSlotRow).values(token=None, until=None),
        delete(AnnotationRow),
        update(LabelingProjectRow).values(followed_to=None, compared_at=None),
    ):
        session.execute(statement, execution_options=_IN_BULK)


def _put_back(session: Session) -> None:
    """Expired images' rows, but for those whose place was taken; and no task of an erased image."""
    image_id = func.substr(ImageRow.id, len(_ASIDE) + 1)
    sha256 = func.substr(ImageRow.sha256_received, len(_ASIDE) + 1)
    set_aside = ImageRow.id.startswith(_ASIDE)
    taken = [
        exists().where(
            or_(
                other.id == image_id,
                (other.source == ImageRow.source) & (other.sha256_received == sha256),
            )
        )
        for other in (aliased(ImageRow), TombstoneRow)
    ]
    for statement in (
        delete(ImageRow).where(set_aside, or_(*taken)),
        update(ImageRow).where(set_aside).values(id=image_id, sha256_received=sha256),
        delete(LabelingTaskRow).where(LabelingTaskRow.image_id.in_(select(TombstoneRow.id))),
    ):
        session.execute(statement, execution_options=_IN_BULK)
