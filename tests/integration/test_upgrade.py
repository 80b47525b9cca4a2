"""A catalog made by an earlier version, with data in it, brought up to date."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config

from pipeline.catalog import open_catalog
from pipeline.catalog.catalog import NEWEST, migrate
from pipeline.catalog.drops import DropFilter
from pipeline.catalog.engine import Transactions, make_engine
from pipeline.catalog.feeds import FeedEnd
from pipeline.catalog.integrity import examine
from pipeline.catalog.labeling.claims import Claim
from pipeline.catalog.labeling.tasks import Considered
from pipeline.errors import CatalogError
from tests.revisions import HERE, revise
from tests.servers import Server, fresh_database

pytestmark = pytest.mark.integration

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
# As revision 0001 kept it: what this version's own tables say is beside the point.
ROWS_OF_0001 = (
    """INSERT INTO cameras (id, record, host, paused, due_at, failures, etag, polls, reason)
    VALUES ('quai', '{"id": "quai", "url": "http://h/q.jpg", "feed": "lyon", "policy": "keep"}',
    'h', FALSE, '2026-11-21 09:00:00+00:00', 2, '"e"', 7, 'no answer')""",
    """INSERT INTO images (id, source, sha256_received, captured_at, state, reason, updated_at,
    attempts, announcements, faces, vehicles) VALUES ('quai-1', 'quai', 'ff',
    '2026-11-21 08:00:00+00:00', 'detected', '', '2026-11-21 08:00:01+00:00', 1, 0, 2, 3)""",
    "INSERT INTO image_labels (image_id, label, count) VALUES ('quai-1', 'car', 3)",
    """INSERT INTO drops (source, at, outcome, reason)
    VALUES ('quai', '2026-11-21 08:30:00+00:00', 'truncated', 'no end')""",
    """INSERT INTO counters (source, hour, outcome, count)
    VALUES ('quai', '2026-11-21 08:00:00+00:00', 'kept', 41)""",
    """INSERT INTO tombstones (id, source, sha256_received, erased_at)
    VALUES ('quai-0', 'quai', 'ee', '2026-11-20 08:00:00+00:00')""",
)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database at revision 0001."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'catalog.sqlite3'}"
        make_0001(url)
        yield url
        return
    with fresh_database(request.getfixturevalue("postgres_server")) as url:
        make_0001(url)
        yield url


def make_0001(url: str) -> None:
    with Transactions(make_engine(url)).writing() as session:
        config = Config()
        config.set_main_option("script_location", "pipeline.catalog:migrations")
        config.attributes["connection"] = session.connection()
        command.upgrade(config, "0001")
        for statement in ROWS_OF_0001:
            session.connection().exec_driver_sql(statement)


@pytest.mark.parametrize("earlier", ["0001", "0002"])
def test_each_earlier_revision_goes_back_and_forth(tmp_path: Path, earlier: str) -> None:
    url = f"sqlite:///{tmp_path / 'catalog.sqlite3'}"
    open_catalog(url).close()
    with Transactions(make_engine(url)).writing() as session:
        config = Config()
        config.set_main_option("script_location", "pipeline.catalog:migrations")
        config.attributes["connection"] = session.connection()
        command.downgrade(config, earlier)
    assert examine(url).revision == earlier
    open_catalog(url).close()
    assert examine(url).revision == NEWEST


def upgrade(url: str) -> None:
    """What opening does on SQLite, and init on PostgreSQL."""
    transactions = Transactions(make_engine(url))
    migrate(transactions)
    transactions.engine.dispose()


def test_data_of_revision_0001_is_all_there_after_the_upgrade(url: str) -> None:
    assert examine(url).revision == "0001"
    upgrade(url)
    assert examine(url).revision == NEWEST
    catalog = open_catalog(url)
    camera = catalog.cameras.get("quai")
    assert camera is not None
    assert (camera.record["policy"], camera.due_at, camera.failures) == ("keep", NOW, 2)
    assert (camera.etag, camera.polls, camera.reason) == ('"e"', 7, "no answer")
    image = catalog.images.get("quai-1")
    assert image is not None
    assert (image.state, image.faces, image.vehicles) == ("detected", 2, 3)
    assert [(label.label, label.count) for label in image.labels] == [("car", 3)]
    assert [drop.reason for drop in catalog.drops.search(DropFilter())] == ["no end"]
    assert catalog.counters.totals() == {"quai": {"kept": 41}}
    assert catalog.tombstones.erased("quai", "ee") == "quai-0"
    catalog.close()


def test_upgraded_catalog_does_what_is_new(url: str) -> None:
    upgrade(url)
    catalog = open_catalog(url)
    assert catalog.feeds.all() == []
    assert catalog.feeds.claim("lyon", "token", NOW, NOW)
    assert catalog.feeds.finish("lyon", "token", FeedEnd(NOW, NOW, cameras=1, taken_up=["quai"]))
    assert [row.known for row in catalog.feeds.all()] == [["quai"]]
    assert catalog.labeling.unconsidered(HERE, 10) == ["quai-1"]
    assert catalog.labeling.consider(HERE, Considered("quai-1", "quai", "2026-11-21"), NOW)
    assert len(catalog.labeling_claims.claim(HERE, Claim("token", NOW, NOW), 10, 1)) == 1
    assert catalog.labeling_claims.mark_sent(HERE, "token", {"quai-1": 7}, NOW) == 1
    assert catalog.annotations.record(revise(image="quai-1", task=7))
    assert catalog.labeling_projects.get(HERE) is not None
    catalog.close()


def test_upgrade_twice_changes_nothing_more(url: str) -> None:
    upgrade(url)
    upgrade(url)
    assert examine(url).revision == NEWEST


def test_folder_of_an_earlier_version_is_upgraded_by_opening_it(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'catalog.sqlite3'}"
    make_0001(url)
    catalog = open_catalog(url)
    assert catalog.counters.totals() == {"quai": {"kept": 41}}
    assert catalog.feeds.due(["lyon"], NOW) == ["lyon"]
    catalog.close()


def test_services_wait_for_init_to_upgrade_a_server(postgres_server: Server) -> None:
    with fresh_database(postgres_server) as url:
        make_0001(url)
        with pytest.raises(
            CatalogError, match=f"schema 0001: init has not migrated it to {NEWEST}"
        ):
            open_catalog(url)
        upgrade(url)
        open_catalog(url).close()
