"""A service that is started first of all waits for three real servers, and for init."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from pipeline.readiness import wait_for_servers
from pipeline.settings import PipelineSettings
from tests.buckets import open_client
from tests.servers import Server, fresh_database, migrate_catalog, start_redis
from tests.waiting import wait_until

pytestmark = pytest.mark.integration


@contextmanager
def waiting(settings: PipelineSettings, tries: list[int]) -> Iterator[threading.Thread]:
    """Left to itself it waits for ever: it gives up when the block ends."""
    is_over = threading.Event()

    def count() -> None:
        tries.append(1)
        if is_over.is_set():
            raise SystemExit

    thread = threading.Thread(target=wait_for_servers, args=(lambda: settings, count), daemon=True)
    thread.start()
    try:
        yield thread
    finally:
        is_over.set()
        thread.join(60)


def test_service_waits_for_catalog_store_and_broker_in_turn(
    postgres_server: Server, minio_server: Server
) -> None:
    with start_redis() as redis, fresh_database(postgres_server) as catalog_url:
        redis.stop()
        settings = PipelineSettings(
            broker_url=redis.url,
            store_url=f"{minio_server.url}/readiness-",
            catalog_url=catalog_url,
            broker_password_file=None,
            store_password_file=None,
            catalog_password_file=None,
        )
        tries: list[int] = []
        with capture_logs() as lines, waiting(settings, tries) as ready:
            wait_for_reason(lines, "catalog", "init has not migrated it")
            migrate_catalog(catalog_url)
            wait_for_reason(lines, "store", "bucket is missing")
            open_client(minio_server.url).make_bucket("readiness-sources")
            wait_for_reason(lines, "broker", "")
            assert ready.is_alive()
            redis.start()
            ready.join(60)
            assert not ready.is_alive()
        assert len(tries) >= 6
    answered = [line["server"] for line in lines if line["event"] == "the server answers"]
    assert answered == ["catalog", "store", "broker"]


def wait_for_reason(lines: Sequence[Mapping[str, Any]], server: str, reason: str) -> None:
    def is_told() -> bool:
        return any(
            line["event"] == "waiting for a server"
            and line["server"] == server
            and reason in line["reason"]
            for line in list(lines)
        )

    wait_until(is_told, 60, f"waiting for {server}, {reason}")
