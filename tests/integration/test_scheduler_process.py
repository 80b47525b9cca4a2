"""The scheduler as its own process, beat as its child: an embedded beat hides a sleeping one."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from base64 import b64decode
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline.catalog import open_catalog
from pipeline.records import Camera
from pipeline.settings import PipelineSettings
from tests.servers import Server
from tests.waiting import wait_until

pytestmark = pytest.mark.integration

SCHEDULER = """
import sys
from pathlib import Path
from pipeline.broker import make_app, run_worker
from pipeline.settings import PipelineSettings
from services.scheduler.settings import SchedulerSettings
from services.scheduler.tasks import build_context, handlers

settings = PipelineSettings.of_folder(Path(sys.argv[1]))
app = make_app(
    "scheduler",
    sys.argv[2],
    handlers,
    lambda publish: build_context(settings, SchedulerSettings(), publish),
)
run_worker(app, threads=1, beat=True)
"""


def polls(redis: Any) -> set[str]:
    """The cameras that are to be polled."""
    bodies = [b64decode(json.loads(message)["body"]) for message in redis.lrange("capture", 0, -1)]
    return {json.loads(body)[1]["message"]["camera"] for body in bodies}


def test_camera_added_beside_a_running_scheduler_is_polled_soon(
    redis_server: Server, tmp_path: Path
) -> None:
    import redis

    catalog = open_catalog(PipelineSettings.of_folder(tmp_path).catalog_url)
    broker = redis.Redis.from_url(redis_server.url)
    broker.flushall()
    scheduler = subprocess.Popen(
        [sys.executable, "-c", SCHEDULER, str(tmp_path), redis_server.url],
        cwd=Path(__file__).parents[2],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        catalog.cameras.save(Camera(id="first", url="http://127.0.0.1:9/a.jpg"), now())
        wait_until(lambda: polls(broker) == {"first"}, 60, "polled")
        time.sleep(4)  # long enough for a beat that sleeps to be asleep
        catalog.cameras.save(Camera(id="second", url="http://127.0.0.1:9/b.jpg"), now())
        wait_until(lambda: polls(broker) == {"first", "second"}, 60, "polled beside the first")
    finally:
        scheduler.send_signal(signal.SIGTERM)
        _, errors = scheduler.communicate(timeout=60)
        catalog.close()
        broker.close()
    assert scheduler.returncode == 0, errors


def now() -> datetime:
    return datetime.now(UTC)
