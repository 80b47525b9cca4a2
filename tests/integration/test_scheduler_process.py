"""The scheduler as its own process, beat as its child: an embedded beat hides a sleeping one."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.catalog import Catalog, open_catalog
from pipeline.records import Camera
from pipeline.settings import PipelineSettings

pytestmark = pytest.mark.integration

# The file system as broker, so that two processes share one without a server.
SCHEDULER = """
import sys
from pathlib import Path
from pipeline.broker import make_app, run_worker
from pipeline.settings import PipelineSettings
from services.scheduler.settings import SchedulerSettings
from services.scheduler.tasks import build_context, handlers

data = Path(sys.argv[1])
settings = PipelineSettings.of_folder(data)
app = make_app(
    "scheduler",
    "filesystem://localhost/",
    handlers,
    lambda publish: build_context(settings, SchedulerSettings(), publish),
)
folder = str(data / "broker")
app.conf.broker_transport_options = {
    "data_folder_in": folder,
    "data_folder_out": folder,
    "control_folder": str(data / "control"),  # else below the folder we are in
}
run_worker(app, threads=1, beat=True)
"""


def wait_until_claimed(catalog: Catalog, camera_id: str, within_s: float) -> float:
    began = time.monotonic()
    while (waited_s := time.monotonic() - began) < within_s:
        row = catalog.cameras.get(camera_id)
        if row is not None and row.lease_token is not None:
            return waited_s
        time.sleep(0.05)
    pytest.fail(f"{camera_id} was not claimed within {within_s} s")


def test_camera_added_beside_a_running_scheduler_is_claimed_within_seconds(tmp_path: Path) -> None:
    (tmp_path / "broker").mkdir()
    catalog = open_catalog(PipelineSettings.of_folder(tmp_path).catalog_url)
    scheduler = subprocess.Popen(
        [sys.executable, "-c", SCHEDULER, str(tmp_path)],
        cwd=Path(__file__).parents[2],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        catalog.cameras.save(Camera(id="first", url="http://127.0.0.1:9/a.jpg"), now())
        wait_until_claimed(catalog, "first", within_s=20)
        time.sleep(4)  # long enough for a beat that sleeps to be asleep
        catalog.cameras.save(Camera(id="second", url="http://127.0.0.1:9/b.jpg"), now())
        wait_until_claimed(catalog, "second", within_s=4)
        polls = [path.read_text() for path in (tmp_path / "broker").iterdir()]
        assert sum("capture.poll_camera" in poll for poll in polls) == 2
    finally:
        scheduler.send_signal(signal.SIGTERM)
        _, errors = scheduler.communicate(timeout=30)
        catalog.close()
    assert scheduler.returncode == 0, errors


def now() -> datetime:
    return datetime.now(UTC)
