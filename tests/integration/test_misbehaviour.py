"""A city whose cameras misbehave in every way: each ends as the outcome that names it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.cadence import utc_now
from pipeline.catalog import open_catalog
from pipeline.catalog.drops import DropFilter
from pipeline.hashing import sha256_of
from pipeline.records import FAILURES, Camera, Outcome, Policy
from pipeline.settings import PipelineSettings
from pipeline.storage import open_store
from services.scheduler.sources import save_camera
from services.simulation.city import City
from services.simulation.misbehaviour import Misbehaviour, Pace, draw_placeholder
from services.simulation.server import CityServer, serve
from tests.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

EXPECTED = {
    Misbehaviour.NOT_MODIFIED: Outcome.NOT_MODIFIED,
    Misbehaviour.SAME_BYTES: Outcome.SAME_BYTES,
    Misbehaviour.PLACEHOLDER: Outcome.PLACEHOLDER,
    Misbehaviour.TRUNCATED: Outcome.TRUNCATED,
    Misbehaviour.SLOW: Outcome.KEPT,
    Misbehaviour.DRIPPED_HEADERS: Outcome.TIMED_OUT,
    Misbehaviour.DRIPPED_BODY: Outcome.TIMED_OUT,
    Misbehaviour.STALLED: Outcome.TIMED_OUT,
    Misbehaviour.NOT_FOUND: Outcome.HTTP_ERROR,
    Misbehaviour.SERVER_ERROR: Outcome.HTTP_ERROR,
    Misbehaviour.RATE_LIMITED: Outcome.RATE_LIMITED,
    Misbehaviour.RESET: Outcome.UNREACHABLE,
    Misbehaviour.HUGE_BODY: Outcome.TOO_LARGE,
    Misbehaviour.PNG_BOMB: Outcome.TOO_MANY_PIXELS,
    Misbehaviour.JPEG_BOMB: Outcome.TOO_MANY_PIXELS,
}
KINDS = list(EXPECTED)
DRAWN = (  # their answers have a frame in them
    *(Misbehaviour.NOT_MODIFIED, Misbehaviour.SAME_BYTES, Misbehaviour.TRUNCATED),
    *(Misbehaviour.SLOW, Misbehaviour.DRIPPED_BODY),
)
AFTER_A_FRAME = {Misbehaviour.NOT_MODIFIED}  # the answer to a question about an earlier frame
WELL = ["sim-1", "sim-2"]
WELL_OUTCOMES = {*(Outcome.KEPT, Outcome.NEAR_DUPLICATE, Outcome.NOT_MODIFIED, Outcome.SAME_BYTES)}
MOST_GROWTH_BYTES = 60 * 2**20


def id_of(kind: Misbehaviour) -> str:
    return f"sim-{len(WELL) + 1 + KINDS.index(kind)}"


@contextmanager
def running(data: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The pipeline in a process of its own, polling the cameras it finds in `data`."""
    command = [sys.executable, "-m", "traboule", "run", "--simulate", "0", "--no-browser"]
    settings = {"CAPTURE_DEADLINE_S": "20", "CAPTURE_MIN_FREE_BYTES": "0"}
    with (data / "output").open("wb") as output:
        pipeline = subprocess.Popen(
            [*command, "--data", str(data)],
            env=os.environ | settings,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            yield pipeline
            pipeline.send_signal(signal.SIGINT)
            assert pipeline.wait(120) == 0, (data / "output").read_text()
        finally:
            pipeline.kill()
            pipeline.wait()


def resident_bytes(pid: int) -> int:
    """The memory a process holds now."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) * 1024


def fill(settings: PipelineSettings, city: CityServer, cameras: list[str]) -> None:
    catalog, store = open_catalog(settings.catalog_url), open_store(settings.store_url)
    for camera_id in cameras:
        camera = Camera(
            id=camera_id,
            url=city.camera_url(camera_id),
            every_s=2,
            policy=Policy.KEEP,
            detectors=("moving-object",),
            placeholder_sha256=(sha256_of(draw_placeholder()),),
        )
        save_camera(catalog, store, camera, utc_now())
    catalog.close()


def test_every_misbehaviour_is_a_counted_outcome_of_its_camera(tmp_path: Path) -> None:
    settings = PipelineSettings.of_folder(tmp_path)
    cameras = [*WELL, *map(id_of, KINDS)]
    pace = Pace(slow_s=1, patience_s=120)  # in time, and never
    with serve(City(len(cameras), refresh_s=10), pace=pace) as city:
        for camera_id in [*WELL, *map(id_of, DRAWN)]:
            city.frame(camera_id)  # backgrounds are drawn before the clock runs
        fill(settings, city, cameras)
        for kind in KINDS:
            if kind not in AFTER_A_FRAME:
                city.misbehave(id_of(kind), kind)
        with running(tmp_path) as pipeline:
            wait_until(lambda: all(city.requests[id_of(kind)] for kind in AFTER_A_FRAME), 180)
            for kind in AFTER_A_FRAME:
                city.misbehave(id_of(kind), kind)
            wait_until(lambda: all(city.sent[id_of(kind), kind] >= 2 for kind in KINDS), 180)
            before = resident_bytes(pipeline.pid)
            wait_until(lambda: all(city.sent[id_of(kind), kind] >= 3 for kind in KINDS), 180)
            growth = resident_bytes(pipeline.pid) - before

    catalog = open_catalog(settings.catalog_url)
    counted = catalog.counters.totals()
    for kind, expected in EXPECTED.items():
        assert counted[id_of(kind)].get(expected, 0) >= 1, (kind, counted[id_of(kind)])
        assert set(counted[id_of(kind)]) <= {expected, *WELL_OUTCOMES}, (kind, counted)
        row = catalog.cameras.get(id_of(kind))
        assert row is not None
        assert (row.failures > 0) == (expected in FAILURES)
        if expected not in {Outcome.KEPT, Outcome.NOT_MODIFIED, Outcome.SAME_BYTES}:
            listed = catalog.drops.search(DropFilter(camera=id_of(kind), outcome=expected))
            assert len(listed) == counted[id_of(kind)][expected]
            assert all(drop.reason for drop in listed)
    for camera_id in WELL:
        polls = sum(counted[camera_id].values())
        assert set(counted[camera_id]) <= WELL_OUTCOMES
        assert polls >= 5, f"{camera_id} was held up: {counted[camera_id]}"
    catalog.close()
    assert growth < MOST_GROWTH_BYTES


def test_camera_that_recovers_is_kept_again_without_help(tmp_path: Path) -> None:
    settings = PipelineSettings.of_folder(tmp_path)
    with serve(City(1, refresh_s=1)) as city:
        city.frame("sim-1")
        fill(settings, city, ["sim-1"])
        city.misbehave("sim-1", Misbehaviour.SERVER_ERROR)
        catalog = open_catalog(settings.catalog_url)
        with running(tmp_path):
            wait_until(lambda: "http-error" in catalog.counters.totals().get("sim-1", {}))
            city.misbehave("sim-1", None)
            wait_until(lambda: "kept" in catalog.counters.totals()["sim-1"])
        row = catalog.cameras.get("sim-1")
        assert row is not None
        assert row.failures == 0
        catalog.close()
