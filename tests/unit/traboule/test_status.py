from __future__ import annotations

from datetime import timedelta

from pipeline import keys
from pipeline.catalog.cameras import PollEnd
from pipeline.records import Outcome
from tests.factories import MORNING, Wanted, make_camera, make_image
from traboule.health import Health
from traboule.status import find_holder, read_status
from traboule.workspace import Workspace, locked

NOW = MORNING + timedelta(hours=1)
EMPTY = {
    "storing": 0,
    "stored": 0,
    "awaiting-model": 0,
    "quarantined": 0,
    "detected": 0,
    "dropped": 0,
    "expired": 0,
}


def fail(workspace: Workspace, camera: str, minutes: int) -> None:
    at = MORNING + timedelta(minutes=minutes)
    end = PollEnd(
        Outcome.UNREACHABLE, at, at + timedelta(minutes=1), reason="no such host", failed=True
    )
    assert workspace.catalog.cameras.claim(camera, "token", at, at + timedelta(minutes=1))
    assert workspace.catalog.cameras.finish(camera, "token", end)


def test_status_of_nothing(workspace: Workspace) -> None:
    status = read_status(workspace, NOW)
    assert (status.live, status.cameras, status.images) == (None, (), EMPTY)
    assert (status.frames_late, status.frames_expire_at) == (0, None)


def test_status_says_since_when_a_camera_fails_and_until_when_it_rests(
    workspace: Workspace,
) -> None:
    make_camera(workspace)
    make_camera(workspace, "other")
    fail(workspace, "quai-saone", 1)
    fail(workspace, "other", 5)
    fail(workspace, "quai-saone", 20)
    other, camera = read_status(workspace, NOW).cameras
    assert (camera.health, camera.outcome, camera.reason) == (
        Health.FAILING,
        "unreachable",
        "no such host",
    )
    assert camera.since == MORNING + timedelta(minutes=1)
    assert camera.until == MORNING + timedelta(minutes=21)
    assert camera.lag_s == 40 * 60
    assert other.since == MORNING + timedelta(minutes=5)


def test_status_begins_a_failure_anew_after_a_success(workspace: Workspace) -> None:
    make_camera(workspace)
    fail(workspace, "quai-saone", 1)
    at = MORNING + timedelta(minutes=10)
    workspace.catalog.cameras.claim("quai-saone", "token", at, at + timedelta(minutes=1))
    workspace.catalog.cameras.finish("quai-saone", "token", PollEnd(Outcome.KEPT, at, at))
    assert read_status(workspace, NOW).cameras[0].health is Health.OK
    fail(workspace, "quai-saone", 20)
    assert read_status(workspace, NOW).cameras[0].since == MORNING + timedelta(minutes=20)


def test_status_tells_healthy_paused_and_new_cameras_apart(workspace: Workspace) -> None:
    make_camera(workspace, "new")
    make_camera(workspace, "paused", paused=True)
    for name, outcome in (("down", Outcome.PLACEHOLDER), ("full", Outcome.DISK_LOW)):
        make_camera(workspace, name)
        workspace.catalog.cameras.claim(name, "token", NOW, NOW + timedelta(minutes=1))
        workspace.catalog.cameras.finish(name, "token", PollEnd(outcome, NOW, NOW))
    health = {camera.id: camera.health.value for camera in read_status(workspace, NOW).cameras}
    assert health == {
        "new": "never-polled",
        "paused": "paused",
        "down": "placeholder",
        "full": "no-room",
    }


def test_status_counts_images_by_stage_and_says_why_they_wait(workspace: Workspace) -> None:
    make_camera(workspace)
    make_image(workspace, Wanted())
    make_image(workspace, Wanted(at=MORNING + timedelta(seconds=1), state="dropped"))
    for second in (2, 3):
        at = MORNING + timedelta(seconds=second)
        image = make_image(workspace, Wanted(at=at, state="stored"))
        workspace.catalog.work.claim(image, "token", at, at + timedelta(minutes=1))
        workspace.catalog.work.await_model(image, "token", "yunet is missing", NOW)
    make_image(workspace, Wanted(at=MORNING + timedelta(seconds=4), state="stored"))
    status = read_status(workspace, NOW)
    assert status.images == EMPTY | {"detected": 1, "dropped": 1, "awaiting-model": 2, "stored": 1}
    assert status.reasons == {"awaiting-model": {"yunet is missing": 2}, "quarantined": {}}
    assert status.cameras[0].images == 4


def test_status_warns_of_frames_near_their_end(workspace: Workspace) -> None:
    old = make_image(workspace, Wanted(at=MORNING, state="stored"))
    make_image(workspace, Wanted(at=MORNING + timedelta(hours=8), state="stored"))
    assert workspace.store.exists(keys.frame(old))
    status = read_status(workspace, MORNING + timedelta(hours=13))
    assert status.frames_late == 1
    assert status.frames_expire_at == MORNING + timedelta(hours=24)


def test_holder_of_the_lock_is_told_while_it_is_held(workspace: Workspace) -> None:
    assert workspace.data is not None
    assert find_holder(workspace.data) is None
    with locked(workspace.data, "run the pipeline"):
        assert "began to run the pipeline" in (find_holder(workspace.data) or "")
    assert find_holder(workspace.data) is None
