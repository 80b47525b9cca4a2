"""PostgreSQL stopped, killed, hung or busy: a CatalogError soon, and work again after it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime

import pytest
from sqlalchemy import make_url, text

from pipeline.catalog import Catalog, open_catalog
from pipeline.catalog.engine import Transactions, make_engine
from pipeline.catalog.integrity import examine
from pipeline.catalog.postgres import POOL_SIZE
from pipeline.errors import CatalogError, UserError
from tests.servers import Server, fresh_database, migrate_catalog, start_postgres

pytestmark = pytest.mark.integration

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
SOON_S = 30.0  # twice what an answer and a new connection are waited for


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One that is ours to stop."""
    with start_postgres() as started:
        migrate_catalog(started.url)
        yield started


@pytest.fixture
def catalog(server: Server) -> Iterator[Catalog]:
    """With open connections."""
    with closing(open_catalog(server.url)) as opened:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: add(opened), range(8)))
        yield opened
    server.wait_until_ready()


def add(catalog: Catalog) -> None:
    catalog.counters.add("a", "kept", NOW)


def fail_soon(act: Callable[[], object]) -> str:
    """What the CatalogError says that comes in time."""
    began = time.monotonic()
    with pytest.raises(CatalogError) as raised:
        act()
    assert time.monotonic() - began < SOON_S
    return str(raised.value)


def test_stopped_server_is_a_catalog_error_and_then_comes_back(
    server: Server, catalog: Catalog
) -> None:
    server.stop()
    told = fail_soon(lambda: add(catalog))
    assert f"the catalog at 127.0.0.1:{server.port} did not answer" in told
    assert "\n" not in told
    assert "Connection refused" in fail_soon(lambda: open_catalog(server.url))
    assert "refused" in examine(server.url).damage
    server.start()
    add(catalog)


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_restart_between_two_transactions_is_not_noticed(
    server: Server, catalog: Catalog, end: str
) -> None:
    getattr(server, end)()
    server.start()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: add(catalog), range(8)))


def test_kill_within_a_transaction_takes_all_of_it_back(server: Server, catalog: Catalog) -> None:
    before = catalog.counters.totals()
    transactions = Transactions(catalog.engine)

    def write() -> None:
        with transactions.writing() as session:
            session.execute(text("UPDATE counters SET count = count + 1"))
            server.kill()

    fail_soon(write)
    server.start()
    assert catalog.counters.totals() == before


def test_server_that_hangs_between_transactions_holds_up_nobody_for_long(
    server: Server, catalog: Catalog
) -> None:
    server.pause()
    try:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: fail_soon(lambda: add(catalog)), range(8)))
        assert "timeout" in examine(server.url).damage
    finally:
        server.resume()
    add(catalog)


def test_server_that_hangs_within_a_transaction_is_given_up(
    server: Server, catalog: Catalog
) -> None:
    def write() -> None:
        with Transactions(catalog.engine).writing() as session:
            session.execute(text("UPDATE counters SET count = count + 1"))
            server.pause()

    try:
        assert "no answer within 8 s" in fail_soon(write)
    finally:
        server.resume()
    add(catalog)


def test_statement_that_takes_too_long_is_ended(catalog: Catalog) -> None:
    def sleep() -> None:
        with Transactions(catalog.engine).reading() as session:
            session.execute(text("SELECT pg_sleep(30)"))

    assert "statement timeout" in fail_soon(sleep)
    add(catalog)


def test_row_that_another_holds_is_waited_for_and_then_given_up(catalog: Catalog) -> None:
    with Transactions(catalog.engine).writing() as session:
        session.execute(text("UPDATE counters SET count = count + 1"))
        assert "lock timeout" in fail_soon(lambda: add(catalog))
    add(catalog)


def test_pool_without_a_free_connection_is_a_catalog_error(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog.engine.pool, "_timeout", 0.1)
    held = [catalog.engine.connect() for _ in range(POOL_SIZE)]
    assert "is free" in fail_soon(lambda: add(catalog))
    for connection in held:
        connection.close()
    add(catalog)


def test_process_that_stands_still_in_a_transaction_loses_its_locks(catalog: Catalog) -> None:
    """Shown with a second in place of ten."""

    def stand_still() -> None:
        with Transactions(catalog.engine).writing() as session:
            session.execute(text("SET LOCAL idle_in_transaction_session_timeout = '1s'"))
            session.execute(text("UPDATE counters SET count = count + 1"))
            time.sleep(1.5)
            add(catalog)  # nobody holds the row
            session.execute(text("SELECT 1"))

    assert "idle-in-transaction timeout" in fail_soon(stand_still)
    with Transactions(catalog.engine).reading() as session:
        [(limit,)] = session.execute(text("SHOW idle_in_transaction_session_timeout"))
    assert limit == "10s"


def test_wrong_password_is_not_shown(server: Server) -> None:
    url = server.url_of("traboule", "hunter2-is-wrong")
    told = fail_soon(lambda: open_catalog(url))
    assert "password authentication failed" in told
    for shown in (told, repr(make_engine(url)), repr(make_url(url)), examine(url).damage):
        assert "hunter2" not in shown


def test_server_that_init_has_not_reached_is_a_catalog_error(server: Server) -> None:
    with fresh_database(server) as url:
        assert "init has not migrated it" in fail_soon(lambda: open_catalog(url))
        assert examine(url).revision is None


def test_schema_of_a_newer_version_is_refused(server: Server) -> None:
    with fresh_database(server) as url:
        migrate_catalog(url)
        engine = make_engine(url)
        with engine.begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        engine.dispose()
        with pytest.raises(UserError, match="newer Traboule"):
            open_catalog(url)
        with pytest.raises(UserError, match="newer Traboule"):
            migrate_catalog(url)
        assert not examine(url).is_known
