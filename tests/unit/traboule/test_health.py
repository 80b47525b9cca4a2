from __future__ import annotations

from datetime import timedelta

import pytest

from pipeline.catalog.cameras import PollEnd
from pipeline.records import Outcome
from tests.factories import MORNING, make_camera
from traboule.health import Polling, measure_polling
from traboule.workspace import Workspace

# Every camera is due first within 15 s of MORNING.
FIRST_DUE = MORNING + timedelta(seconds=15)


def measure(workspace: Workspace, seconds: float) -> Polling:
    now = FIRST_DUE + timedelta(seconds=seconds)
    return measure_polling(workspace.catalog.cameras.all(), now)


def poll(workspace: Workspace, camera: str, seconds: float, outcome: Outcome) -> None:
    """A poll that ended then; the next one is due a minute later."""
    at = FIRST_DUE + timedelta(seconds=seconds)
    cameras = workspace.catalog.cameras
    assert cameras.claim(camera, "token", at, at + timedelta(seconds=45))
    assert cameras.finish(camera, "token", PollEnd(outcome, at, at + timedelta(minutes=1)))


def test_nobody_polls_when_all_that_is_due_has_long_been_so(workspace: Workspace) -> None:
    make_camera(workspace, "a")
    make_camera(workspace, "b")
    assert measure(workspace, 0).trouble == ""
    assert not measure(workspace, 40).has_stopped
    stopped = measure(workspace, 120)
    assert (stopped.due, stopped.last_s, stopped.has_stopped) == (2, None, True)
    assert "nobody seems to be polling: 2 cameras due, for 2m at least" in stopped.trouble


def test_somebody_polls_where_a_camera_was_polled_or_is_being_polled(workspace: Workspace) -> None:
    make_camera(workspace, "a")
    make_camera(workspace, "b")
    poll(workspace, "a", 100, Outcome.KEPT)
    assert not measure(workspace, 150).has_stopped  # "b" has waited for long, behind others
    assert measure(workspace, 250).has_stopped
    now = FIRST_DUE + timedelta(seconds=240)
    assert workspace.catalog.cameras.claim("b", "other", now, now + timedelta(seconds=45))
    assert not measure(workspace, 250).has_stopped
    assert measure(workspace, 300).has_stopped  # the lease has run out, and nobody noticed


@pytest.mark.parametrize("paused", [True, False])
def test_paused_cameras_need_nobody(workspace: Workspace, paused: bool) -> None:
    make_camera(workspace, "a", paused=paused)
    assert measure(workspace, 3600).has_stopped is not paused


def test_polls_that_nothing_comes_of_are_told(workspace: Workspace) -> None:
    make_camera(workspace, "a")
    make_camera(workspace, "b")
    poll(workspace, "a", 0, Outcome.EXPIRED)
    assert measure(workspace, 10).trouble == "polls are sent, and nothing comes of any of them"
    poll(workspace, "b", 5, Outcome.KEPT)
    assert measure(workspace, 10).trouble == ""
