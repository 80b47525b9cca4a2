"""What every test needs: no connection outlives it. And servers, for those that ask for one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from sqlalchemy import Connection, Engine, event

from tests.label_studio import StudioServer, start_label_studio
from tests.servers import Server, start_minio, start_postgres, start_redis

# A busy machine may stop any example for a while: a test's time is limited as a whole.
settings.register_profile("traboule", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("traboule")


def pytest_itemcollected(item: pytest.Item) -> None:
    """Whichever test asks for a Label Studio first may make its database: minutes where all is
    slow, and a fixture's time is its test's."""
    if item.get_closest_marker("integration") and not item.get_closest_marker("timeout"):
        item.add_marker(pytest.mark.timeout(900))


@pytest.fixture(autouse=True)
def engines() -> Iterator[None]:
    """From Python 3.13 on an SQLite connection that nobody closed is a warning."""
    used: set[Engine] = set()

    def note(connection: Connection) -> None:
        used.add(connection.engine)

    event.listen(Engine, "engine_connect", note)
    yield
    event.remove(Engine, "engine_connect", note)
    for engine in list(used):
        engine.dispose()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Server]:
    """Shared: a test that stops its server, or changes how it is set, starts one for itself."""
    with start_redis() as server:
        yield server


@pytest.fixture(scope="session")
def minio_server() -> Iterator[Server]:
    """Shared: its buckets are a test's own by a prefix of their names."""
    with start_minio() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """Shared: a test has a database of its own by `servers.fresh_database`."""
    with start_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def studio_server() -> Iterator[StudioServer]:
    """Shared: a test makes a project of its own in it."""
    with start_label_studio() as server:
        yield server
