from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolExhausted

from pipeline.catalog.engine import Transactions, make_engine, translated
from pipeline.errors import CatalogError, UserError

ON_A_SERVER = "postgresql+psycopg://capture:hunter2@catalog.example/traboule"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = make_engine(f"sqlite:///{tmp_path / 'some.sqlite3'}")
    with Transactions(made).writing() as session:
        session.execute(text("CREATE TABLE numbers (n INTEGER PRIMARY KEY)"))
    yield made
    made.dispose()


def numbers(engine: Engine) -> list[int]:
    with Transactions(engine).reading() as session:
        return list(session.scalars(text("SELECT n FROM numbers ORDER BY n")))


def test_error_within_a_transaction_takes_it_back(engine: Engine) -> None:
    with pytest.raises(KeyError), Transactions(engine).writing() as session:
        session.execute(text("INSERT INTO numbers VALUES (1)"))
        raise KeyError
    assert numbers(engine) == []


def test_transactions_on_a_connection_are_one(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.begin()
        transactions = Transactions(connection)
        for n in (1, 2):
            with transactions.writing() as session:
                session.execute(text(f"INSERT INTO numbers VALUES ({n})"))
        with transactions.reading() as session:
            assert session.scalar(text("SELECT count(*) FROM numbers")) == 2
        assert numbers(engine) == [], "nobody else sees them yet"
        connection.rollback()
    assert numbers(engine) == []


def test_what_the_database_refuses_is_said_in_one_line(engine: Engine) -> None:
    with pytest.raises(CatalogError, match=r"some\.sqlite3 refused: UNIQUE constraint failed"):
        for _ in range(2):
            with Transactions(engine).writing() as session:
                session.execute(text("INSERT INTO numbers VALUES (1)"))


@pytest.mark.parametrize(
    ("kind", "did"), [(OperationalError, "did not answer"), (IntegrityError, "refused")]
)
def test_server_is_named_without_its_user(
    kind: type[OperationalError | IntegrityError], did: str
) -> None:
    engine = make_engine(ON_A_SERVER)
    with pytest.raises(CatalogError) as raised, translated(engine):
        raise kind("SELECT 1", {}, Exception("one line\n\tand another"))
    told = "the catalog at catalog.example:5432 {}: one line and another"
    assert str(raised.value) == told.format(did)


def test_pool_without_a_free_connection_is_a_catalog_error(engine: Engine) -> None:
    with pytest.raises(CatalogError, match="no connection to the catalog"), translated(engine):
        raise PoolExhausted("QueuePool limit of size 5 overflow 10 reached")


def test_password_is_not_shown() -> None:
    engine = make_engine(ON_A_SERVER)
    for shown in (repr(engine), str(engine.url), repr(engine.pool)):
        assert "hunter2" not in shown


def test_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "pipeline.catalog.postgres", raising=False)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(UserError, match=r"needs psycopg: pip install 'traboule\[composed\]'"):
        make_engine(ON_A_SERVER)
