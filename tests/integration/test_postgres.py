"""What PostgreSQL alone can get wrong: locks held by another, two inits, text that it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from typing import Any

import pytest
from sqlalchemy import Engine, event, text

from pipeline.catalog import Catalog, open_catalog
from pipeline.catalog.cameras import PollEnd
from pipeline.catalog.catalog import NEWEST
from pipeline.catalog.drops import DropFilter
from pipeline.catalog.engine import Transactions, make_engine
from pipeline.catalog.images import Description, Drop, Images, NewImage
from pipeline.catalog.integrity import Integrity, examine
from pipeline.errors import CatalogError
from pipeline.records import Camera, Outcome
from tests.servers import Server, administer, fresh_database, migrate_catalog
from tests.waiting import wait_until

pytestmark = pytest.mark.integration

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
LATER = NOW + timedelta(seconds=45)
LOOK = Description(640, 480, "00" * 8, {"phash": "00" * 8})


@pytest.fixture
def database(postgres_server: Server) -> Iterator[str]:
    with fresh_database(postgres_server) as url:
        yield url


@pytest.fixture
def catalog(database: str) -> Iterator[Catalog]:
    migrate_catalog(database)
    with closing(open_catalog(database)) as opened:
        yield opened


@pytest.fixture
def patient(database: str) -> Iterator[Engine]:
    """Whose transactions may stand idle, and wait for another's lock."""
    engine = make_engine(database, patient=True)
    yield engine
    engine.dispose()


def wait_until_one_waits(engine: Engine) -> None:
    """Until a session stands before another's lock."""
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        wait_until(lambda: connection.scalar(waiting), 60, "somebody waits")


def test_slot_that_another_is_claiming_is_passed_over(catalog: Catalog) -> None:
    assert catalog.slots.claim("h", 2, "first", NOW, LATER)
    catalog.slots.release("first")
    with catalog.engine.begin() as connection:
        connection.execute(text("SELECT * FROM host_slots WHERE slot = 0 FOR UPDATE"))
        # To wait would end as a lock timeout.
        assert catalog.slots.claim("h", 2, "second", NOW, LATER)
        assert not catalog.slots.claim("h", 2, "third", NOW, LATER)
    assert catalog.slots.claim("h", 2, "third", NOW, LATER)


def test_removing_and_restoring_an_image_do_not_wait_for_one_another(
    catalog: Catalog, patient: Engine
) -> None:
    catalog.images.begin(NewImage("a-1", "a", "ff", NOW), NOW)
    catalog.images.mark_dropped("a-1", LOOK, Drop(NOW, "2 bits", None, LATER))
    with ThreadPoolExecutor(1) as pool, patient.begin() as restoring:
        # As mark_stored does it: the image first, then its line in the list.
        restoring.execute(text("UPDATE images SET state = 'stored'"))
        removed = pool.submit(Images(Transactions(patient)).remove, "a-1")
        wait_until_one_waits(patient)
        restoring.execute(text("UPDATE drops SET restored_at = now()"))
        restoring.commit()
        removed.result()
    assert catalog.images.get("a-1") is None
    assert catalog.drops.search(DropFilter()) == []


def test_row_that_is_removed_before_it_is_found_is_made_again(
    catalog: Catalog, database: str
) -> None:
    catalog.images.begin(NewImage("a-1", "a", "ff", NOW), NOW)
    other = make_engine(database)
    removed: list[int] = []

    def remove_once(_: Any, __: Any, statement: str, *___: Any) -> None:
        if statement.startswith("INSERT") and not removed:
            with other.begin() as connection:
                removed.append(connection.execute(text("DELETE FROM images")).rowcount)

    event.listen(catalog.engine, "after_cursor_execute", remove_once)
    assert catalog.images.begin(NewImage("a-2", "a", "ff", NOW), NOW).id == "a-2"
    assert removed == [1]
    other.dispose()


def test_id_of_other_bytes_is_refused(catalog: Catalog) -> None:
    catalog.images.begin(NewImage("a-1", "a", "ff", NOW), NOW)
    with pytest.raises(CatalogError, match="a-1 is the id of other bytes"):
        catalog.images.begin(NewImage("a-1", "a", "ee", NOW), NOW)


def test_two_inits_migrate_once(database: str) -> None:
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        list(pool.map(migrate_catalog, [database] * 6))
    assert examine(database) == Integrity("", NEWEST, NEWEST, True)


def test_init_waits_for_the_one_that_migrates(database: str, patient: Engine) -> None:
    with ThreadPoolExecutor(1) as pool, patient.begin() as first:
        first.execute(text("SELECT pg_advisory_xact_lock(5170523)"))
        second = pool.submit(migrate_catalog, database)
        wait_until_one_waits(patient)
        assert examine(database).revision is None
        first.commit()
        second.result()
    assert examine(database).revision == NEWEST


def test_service_opens_the_catalog_with_a_readers_rights(
    postgres_server: Server, database: str
) -> None:
    migrate_catalog(database)
    administer(postgres_server, "CREATE ROLE reader LOGIN PASSWORD 'secret'")
    owner = make_engine(database)
    try:
        with owner.begin() as connection:
            connection.execute(text("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader"))
        path = "/" + database.rpartition("/")[2]
        with closing(open_catalog(postgres_server.url_of("reader", "secret", path))) as catalog:
            assert catalog.cameras.all() == []
    finally:
        owner.dispose()
        with make_engine(database).begin() as connection:
            connection.execute(text("DROP OWNED BY reader"))
        administer(postgres_server, "DROP ROLE reader")


def test_what_a_server_says_is_kept_whatever_bytes_are_in_it(catalog: Catalog) -> None:
    camera = Camera(id="a", url="http://h/a.jpg", name="nul \0 and é and 🚲")
    catalog.cameras.save(camera, NOW)
    assert catalog.cameras.claim("a", "token", NOW, LATER)
    end = PollEnd(
        Outcome.TRUNCATED, NOW, LATER, reason="\0 é", etag='"\0\x7f"', last_modified="x" * 100_000
    )
    assert catalog.cameras.finish("a", "token", end)
    row = catalog.cameras.get("a")
    assert row is not None
    assert row.reason == "� é"
    assert row.etag == '"�\x7f"'
    assert len(row.last_modified or "") == 100_000
    assert row.record["name"] == camera.name
    [drop] = catalog.drops.search(DropFilter())
    assert drop.reason == "� é"


def test_times_are_utc_whatever_the_servers_zone(
    postgres_server: Server, catalog: Catalog, database: str
) -> None:
    name = database.rpartition("/")[2]
    administer(postgres_server, f"ALTER DATABASE \"{name}\" SET TimeZone = 'Asia/Kathmandu'")
    catalog.engine.dispose()
    paris = datetime.fromisoformat("2026-10-25T02:30:00+01:00")
    catalog.cameras.save(Camera(id="a", url="http://h/a.jpg"), paris)
    row = catalog.cameras.get("a")
    assert row is not None
    assert row.due_at == paris
    assert row.due_at.tzinfo is UTC
    catalog.counters.add("a", "kept", paris)
    catalog.counters.add("a", "kept", paris.astimezone(UTC) + timedelta(minutes=1))
    with catalog.engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM counters")) == 1
