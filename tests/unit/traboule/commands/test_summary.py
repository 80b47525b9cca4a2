from __future__ import annotations

from datetime import timedelta

import pytest

from pipeline.cadence import utc_now
from pipeline.catalog.cameras import PollEnd
from pipeline.records import Outcome
from tests.factories import MORNING, Wanted, make_camera, make_image
from tests.unit.traboule.conftest import Run
from traboule import watch
from traboule.workspace import Workspace


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "LOOK_EVERY_S", 0.02)


@pytest.fixture
def polled(workspace: Workspace) -> Workspace:
    make_camera(workspace)
    now, cameras = utc_now(), workspace.catalog.cameras
    assert cameras.claim("quai-saone", "t", now, now + timedelta(minutes=1))
    assert cameras.finish("quai-saone", "t", PollEnd(Outcome.KEPT, now, now))
    make_image(workspace, Wanted(labels={"car": 2}))
    return workspace


def test_summary_tells_everything_there_ever_was(run: Run, polled: Workspace) -> None:
    ran = run("summary")
    assert ran.status == 0
    assert "Polls          1 in all, 1 kept\n" in ran.out
    assert "Found          car 2\n" in ran.out
    assert "Continued" not in ran.out
    assert f"images list --data {polled.data}" in ran.out


def test_summary_in_a_container_says_what_to_type_there(
    run_composed: Run, polled: Workspace
) -> None:
    make_image(polled, Wanted(at=MORNING + timedelta(minutes=1), state="stored"))
    told = run_composed("summary").out
    assert "Look further   docker compose run --rm cli images list\n" in told
    assert "Waiting        1 image for detection (it goes on with them)\n" in told


def test_summary_waits_for_no_longer_than_it_must(run: Run, polled: Workspace) -> None:
    ran = run("summary", "--wait", "1", "--timeout", "1d")
    assert (ran.status, ran.err) == (0, "")
    assert "Found          car 2\n" in ran.out


def test_summary_of_too_little_is_told_all_the_same(run: Run, polled: Workspace) -> None:
    ran = run("summary", "--wait", "2", "--timeout", "0.2s")
    assert ran.status == 1
    assert ran.out.startswith("1 of 2 images detected: 1 polls, 1 kept")
    assert "Found          car 2\n" in ran.out
    assert ran.err == ("traboule: 1 of 2 images were detected within 0.2s; see: traboule doctor\n")


@pytest.mark.parametrize("option", [("--wait", "0"), ("--timeout", "soon")])
def test_summary_refuses_what_it_does_not_understand(
    run: Run, polled: Workspace, option: tuple[str, str]
) -> None:
    ran = run("summary", *option)
    assert (ran.status, ran.out) == (2, "")
    assert option[0] in ran.err
