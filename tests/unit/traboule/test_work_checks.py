from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from pipeline.catalog.feeds import FeedEnd
from tests.factories import MORNING, Wanted, make_camera, make_image
from traboule.check import Check, Contact, Patient
from traboule.work_checks import check_work
from traboule.workspace import Workspace


@pytest.fixture(autouse=True)
def _feeds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SCHEDULER_FEEDS", raising=False)


def look(composed: Workspace, seconds: float = 0) -> dict[str, Check]:
    now = MORNING + timedelta(seconds=seconds)
    checks = check_work(Patient(None, composed.settings, now, Contact("h", date=now)))
    return {check.name: check for check in checks}


def test_services_with_nothing_to_do_are_well(composed: Workspace, workspace: Workspace) -> None:
    make_camera(workspace)
    assert {check.status for check in look(composed).values()} == {"ok"}


def test_work_on_a_folder_is_no_services(workspace: Workspace) -> None:
    patient = Patient(workspace.data, workspace.settings, MORNING, Contact("h"))
    assert check_work(patient) == []


def test_no_cameras_and_no_polls_are_warned_of(composed: Workspace, workspace: Workspace) -> None:
    assert look(composed)["polling"].what == "no cameras yet"
    make_camera(workspace)
    polling = look(composed, 600)["polling"]
    assert polling.status == "warn"
    assert polling.what.startswith("nobody seems to be polling: 1 camera due")
    assert polling.what_to_do.endswith("docker compose logs scheduler capture")


def test_images_that_wait_for_long_are_warned_of(composed: Workspace, workspace: Workspace) -> None:
    make_image(workspace, Wanted(state="stored"))
    assert look(composed, 300)["detection"].status == "ok"
    detection = look(composed, 301)["detection"]
    assert (detection.status, detection.what) == ("warn", "images that wait: 1, the first for 5m")
    assert "--scale detection=3" in detection.what_to_do


def test_images_without_a_model_are_warned_of(composed: Workspace, workspace: Workspace) -> None:
    image = make_image(workspace, Wanted(state="stored"))
    work, until = workspace.catalog.work, MORNING + timedelta(minutes=1)
    work.claim(image, "token", MORNING, until)
    work.await_model(image, "token", "yunet is missing", until)
    models = look(composed)["models"]
    assert (models.status, models.what) == ("warn", "1 image waits for one: yunet is missing")


def begin(workspace: Workspace, at: datetime) -> None:
    from pipeline.catalog.images import NewImage

    workspace.catalog.images.begin(NewImage("quai-1", "quai", "0", at), at)


def test_what_no_sweep_has_seen_to_is_warned_of(composed: Workspace, workspace: Workspace) -> None:
    begin(workspace, MORNING)
    assert look(composed, 240)["maintenance"].status == "ok"
    assert look(composed, 241)["maintenance"].status == "warn"


def test_feed_that_fails_is_warned_of_unless_it_need_not_be_there(
    composed: Workspace, workspace: Workspace
) -> None:
    for feed, reason in (("grandlyon", "no answer"), ("simulation", "not running")):
        assert workspace.catalog.feeds.claim(feed, "t", MORNING, MORNING + timedelta(minutes=1))
        end = FeedEnd(MORNING, MORNING + timedelta(minutes=5), reason)
        assert workspace.catalog.feeds.finish(feed, "t", end)
    checks = look(composed, 60)
    assert (checks["feed grandlyon"].status, checks["feed grandlyon"].what) == ("warn", "no answer")
    assert checks["feed simulation"].status == "ok"
    assert "feeds" not in checks
    assert look(composed, 1000)["feeds"].status == "warn"
