"""A service that is started first of all waits for three real servers, and for init."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from structlog.testing import capture_logs

from pipeline.readiness import wait_for_servers
from pipeline.settings import PipelineSettings
from tests.buckets import open_client
from tests.servers import Server, fresh_database, migrate_catalog, start_redis

pytestmark = pytest.mark.integration


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
        with capture_logs() as lines:
            tries: list[int] = []
            ready = threading.Thread(
                target=wait_for_servers, args=(lambda: settings, lambda: tries.append(1))
            )
            ready.start()
            assert "init has not migrated it" in wait_for_reason(lines, "catalog")
            migrate_catalog(catalog_url)
            assert "bucket is missing" in wait_for_reason(lines, "store")
            open_client(minio_server.url).make_bucket("readiness-sources")
            wait_for_reason(lines, "broker")
            assert ready.is_alive()
            redis.start()
            ready.join(15)
            assert not ready.is_alive()
        assert len(tries) >= 6
    answered = [line["server"] for line in lines if line["event"] == "the server answers"]
    assert answered == ["catalog", "store", "broker"]


def wait_for_reason(lines: Sequence[Mapping[str, Any]], server: str) -> str:
    ends_at = time.monotonic() + 20
    while time.monotonic() < ends_at:
        for line in list(lines):
            if line["event"] == "waiting for a server" and line["server"] == server:
                return str(line["reason"])
        time.sleep(0.05)
    pytest.fail(f"not waited for {server}: {lines}")
