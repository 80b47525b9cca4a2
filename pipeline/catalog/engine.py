"""The database engine and its transactions: safe with many threads and processes that write.

SQLite has one writer at a time. PostgreSQL has many, READ COMMITTED: a row that is read to be
changed is locked by FOR UPDATE (which SQLite's dialect leaves out), rows of several tables in the
order camera, slot, image, counter, drop. A deadlock or a serialization error all the same is a
CatalogError, which is tried again with its task: a transaction is a `with` block, not repeatable.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from sqlalchemy import (
    URL,
    Connection,
    CursorResult,
    Delete,
    Engine,
    Update,
    create_engine,
    event,
    make_url,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolExhausted
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry

from pipeline.catalog.tables import Table
from pipeline.errors import CatalogError, UserError

_WRITING = "writing"
_ADVICE = {
    "disk is full": "; make room on its disk",
    "disk I/O error": "; its disk may be full: make room",
    "readonly": "; let this user write the file and its folder",
    "unable to open": "; let this user write the file and its folder",
}


def make_engine(url: str | URL, *, patient: bool = False) -> Engine:
    """SQLite in WAL mode, whose writing transactions begin with BEGIN IMMEDIATE; or PostgreSQL,
    where nothing but a `patient` engine waits longer than a task may.

    Source of the former: SQLite's default lost 335 of 400 counted updates here, without an error.
    """
    address = make_url(url)
    if address.get_backend_name() == "postgresql":
        return _make_postgres_engine(address, patient=patient)
    engine = create_engine(address)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare)
        event.listen(engine, "begin", _begin)
    return engine


def _make_postgres_engine(address: URL, *, patient: bool) -> Engine:
    try:
        from pipeline.catalog.postgres import make_postgres_engine
    except ModuleNotFoundError as error:
        raise UserError(
            f"a catalog on PostgreSQL needs {error.name}: pip install 'traboule[composed]'"
        ) from error
    return make_postgres_engine(address, patient=patient)


class Transactions:
    """Opens sessions for reading and for writing, and says what went wrong in our own words.

    On a connection whose transaction has begun, all of them are part of that one.
    """

    def __init__(self, bind: Engine | Connection) -> None:
        self.engine = bind.engine
        self._reader = bind
        writes = isinstance(bind, Engine)
        self._writer = bind.execution_options(**{_WRITING: True}) if writes else bind

    @contextmanager
    def reading(self) -> Iterator[Session]:
        with translated(self.engine), _session(self._reader) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """Commits at the end, unless an error passes through."""
        with translated(self.engine), _session(self._writer) as session, session.begin():
            yield session


def _session(bind: Engine | Connection) -> Session:
    return Session(bind, expire_on_commit=False, join_transaction_mode="rollback_only")


def change(session: Session, statement: Update | Delete) -> int:
    """Carry out one conditional change; how many rows met its condition."""
    return cast("CursorResult[Any]", session.execute(statement)).rowcount


def insert_into(session: Session, table: type[Table]) -> sqlite.Insert | postgresql.Insert:
    """An INSERT that can say ON CONFLICT, in the session's dialect."""
    if session.get_bind().dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)


@contextmanager
def translated(engine: Engine) -> Iterator[None]:
    """Errors of the database as ours: UserError for damage, else CatalogError."""
    try:
        yield
    except DBAPIError as error:
        original = error.orig
        if isinstance(original, sqlite3.DatabaseError) and _is_corrupt(original):
            raise UserError(
                f"the catalog {engine.url.database} is damaged ({original}); "
                "stop the pipeline and run: traboule rebuild-catalog"
            ) from error
        advice = next((what for why, what in _ADVICE.items() if why in str(original)), "")
        told = " ".join(str(original).split())
        silent = isinstance(error, OperationalError | InterfaceError)
        did = "did not answer" if silent else "refused"
        raise CatalogError(f"the catalog {_place(engine)} {did}: {told}{advice}") from error
    except PoolExhausted as error:
        raise CatalogError(f"no connection to the catalog {_place(engine)} is free") from error


def _place(engine: Engine) -> str:
    url = engine.url
    return f"at {url.host}:{url.port or 5432}" if url.host else str(url.database)


def _is_corrupt(error: sqlite3.DatabaseError) -> bool:
    return getattr(error, "sqlite_errorname", "") in {"SQLITE_CORRUPT", "SQLITE_NOTADB"}


def _prepare(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    raw: Any = connection
    raw.isolation_level = None  # this module says BEGIN itself
    cursor = raw.cursor()
    for pragma in (
        "busy_timeout = 10000",
        "journal_mode = WAL",
        "synchronous = NORMAL",
        "foreign_keys = ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Any) -> None:
    writing = connection.get_execution_options().get(_WRITING, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")
