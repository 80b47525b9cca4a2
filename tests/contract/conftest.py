"""The adapters behind each protocol. A second adapter is added here, and passes the same tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.catalog import Catalog, open_catalog
from pipeline.storage import ObjectStore, open_store
from tests.buckets import make_buckets
from tests.servers import Server, fresh_database, migrate_catalog


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "s3":
        return open_store(make_buckets(request.getfixturevalue("minio_server").url))
    return open_store((tmp_path / "store").as_uri())


@pytest.fixture(params=["sqlite", "postgresql"])
def catalog_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty catalog's, with its tables."""
    if request.param == "postgresql":
        server, template = request.getfixturevalue("migrated_database")
        with fresh_database(server, template) as url:
            yield url
    else:
        yield f"sqlite:///{tmp_path / 'catalog.sqlite3'}"


@pytest.fixture(scope="session")
def migrated_database(postgres_server: Server) -> Iterator[tuple[Server, str]]:
    """A database to copy from, for which nobody may be connected to it."""
    with fresh_database(postgres_server) as url:
        migrate_catalog(url)
        yield postgres_server, url.rpartition("/")[2]


@pytest.fixture
def catalog(catalog_url: str) -> Iterator[Catalog]:
    opened = open_catalog(catalog_url)
    yield opened
    opened.close()
