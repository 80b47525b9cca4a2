from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from pipeline import cadence
from pipeline.cadence import utc_now
from pipeline.catalog.cameras import PollEnd
from pipeline.errors import StorageError
from pipeline.records import Outcome
from pipeline.storage import FolderStore
from tests.factories import Wanted, make_camera, make_image
from tests.unit.traboule.conftest import Run
from traboule.workspace import Workspace, locked


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> datetime:
    """It stands still for the command."""
    now = utc_now()
    monkeypatch.setattr(cadence, "utc_now", lambda: now)
    return now


def poll(workspace: Workspace, now: datetime, *, seconds_ago: int) -> None:
    make_camera(workspace)
    cameras = workspace.catalog.cameras
    end = PollEnd(Outcome.KEPT, now - timedelta(seconds=seconds_ago), now)
    assert cameras.claim("quai-saone", "t", now, now + timedelta(minutes=1))
    assert cameras.finish("quai-saone", "t", end)


@pytest.fixture
def failing(workspace: Workspace) -> Workspace:
    make_camera(workspace)
    now = utc_now()
    end = PollEnd(Outcome.TIMED_OUT, now, now, reason="no answer within 15 s", failed=True)
    assert workspace.catalog.cameras.claim("quai-saone", "t", now, now + timedelta(minutes=1))
    assert workspace.catalog.cameras.finish("quai-saone", "t", end)
    make_image(workspace, Wanted(state="stored", at=now.replace(microsecond=0)))
    return workspace


def test_status_tells_cameras_and_stages(run: Run, failing: Workspace) -> None:
    ran = run("status")
    assert ran.status == 0
    line = next(line for line in ran.out.splitlines() if line.startswith("quai-saone"))
    assert "failing since" in line
    assert "no answer within 15 s" in line
    assert "1 waiting for detection" in ran.out


def test_status_in_json_has_stable_fields(run: Run, failing: Workspace) -> None:
    status = run("status", "--json").json
    assert status["live"] is None
    assert status["images"]["stored"] == 1
    (camera,) = status["cameras"]
    assert (camera["id"], camera["health"], camera["outcome"]) == (
        "quai-saone",
        "failing",
        "timed-out",
    )
    assert camera["since"].endswith("Z")


def test_status_says_that_a_run_is_at_work(run: Run, workspace: Workspace, now: datetime) -> None:
    assert workspace.data is not None
    poll(workspace, now, seconds_ago=7)
    with locked(workspace.data, "run the pipeline"):
        told = run("status").out
    assert "at work: a traboule" in told
    assert "no run" not in told
    assert " 7s of 1m " in told


def test_status_without_a_run_tells_the_age_of_the_last_poll(
    run: Run, workspace: Workspace, now: datetime
) -> None:
    poll(workspace, now, seconds_ago=4 * 60)
    first, _, header, line, *_ = run("status").out.splitlines()
    assert first.startswith("no run is at work")
    assert line[header.index("last poll") :].startswith("   4m ago")
    assert run("status", "--json").json["cameras"][0]["lag_s"] == 240


def test_status_of_a_folder_that_is_not_there_is_one_line(run: Run) -> None:
    ran = run("status", "--data", "/nowhere/at/all")
    assert (ran.status, ran.err.count("\n")) == (1, 1)


def test_status_beside_services_tells_feeds_and_polls(
    run_composed: Run, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, now: datetime
) -> None:
    monkeypatch.setenv("SCHEDULER_FEEDS", '["grandlyon"]')
    poll(workspace, now, seconds_ago=7)
    told = run_composed("status").out
    assert "no run is at work" not in told
    assert "feed grandlyon: not asked yet\n" in told
    assert "\nlast poll: 7s ago\n" in told
    status = run_composed("status", "--json").json
    assert (status["data"], status["live"]) == (None, None)
    assert status["feeds"][0]["id"] == "grandlyon"
    assert status["polling"]["has_stopped"] is False


def test_status_says_that_nobody_polls(run_composed: Run, workspace: Workspace) -> None:
    make_camera(workspace)  # due since the morning
    first = run_composed("status").out.splitlines()[0]
    assert first.startswith("nobody seems to be polling: 1 camera due, for ")
    assert first.endswith("see: docker compose run --rm cli doctor")


def test_status_goes_on_without_the_object_store(
    run_composed: Run, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_image(workspace, Wanted(state="stored"))

    def fail(self: FolderStore, prefix: str) -> object:
        raise StorageError("it does not answer")

    monkeypatch.setattr(FolderStore, "list", fail)
    ran = run_composed("status")
    assert ran.status == 0
    assert "1 waiting for detection" in ran.out
    assert "the object store does not answer" in ran.out
    assert run_composed("status", "--json").json["frames_late"] is None
