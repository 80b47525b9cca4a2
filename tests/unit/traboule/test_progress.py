from __future__ import annotations

from datetime import datetime, timedelta

from pipeline.catalog.cameras import PollEnd
from pipeline.records import Outcome
from tests.factories import MORNING, Wanted, make_camera, make_image
from traboule.health import Health
from traboule.progress import Meter
from traboule.workspace import Workspace

NOW = MORNING + timedelta(minutes=10)


def clock() -> datetime:
    return NOW


def end_poll(workspace: Workspace, camera: str, outcome: Outcome, *, failed: bool = False) -> None:
    cameras = workspace.catalog.cameras
    assert cameras.claim(camera, "token", NOW, NOW + timedelta(minutes=1))
    assert cameras.finish(
        camera, "token", PollEnd(outcome, NOW - timedelta(seconds=7), NOW, failed=failed)
    )


def test_meter_counts_from_where_it_began(workspace: Workspace) -> None:
    make_camera(workspace)
    end_poll(workspace, "quai-saone", Outcome.KEPT)
    make_image(workspace, Wanted(labels={"car": 3}))
    meter = Meter(workspace.catalog, clock)
    assert (meter.read().cameras[0].polls, meter.read().labels) == (0, {})
    end_poll(workspace, "quai-saone", Outcome.KEPT)
    end_poll(workspace, "quai-saone", Outcome.SAME_BYTES)
    make_image(workspace, Wanted(at=NOW, labels={"car": 2, "bus": 1, "face": 4}))
    (camera,) = meter.read().cameras
    assert (camera.polls, camera.kept, camera.dropped) == (2, 1, {"same-bytes": 1})
    assert (camera.vehicles, camera.faces, camera.moving) == (3, 4, 0)
    assert camera.lag is not None
    assert (camera.lag.age_s, camera.lag.is_late) == (7.0, False)


def test_meter_is_not_confused_by_erased_images(workspace: Workspace) -> None:
    make_camera(workspace)
    image = make_image(workspace, Wanted(labels={"car": 3}))
    meter = Meter(workspace.catalog, clock)
    workspace.catalog.images.remove(image)
    assert meter.read().labels == {}


def test_meter_leaves_paused_cameras_out(workspace: Workspace) -> None:
    make_camera(workspace, "asleep", paused=True)
    make_camera(workspace, "awake")
    progress = Meter(workspace.catalog, clock).read()
    assert [camera.id for camera in progress.cameras] == ["awake"]
    assert progress.paused == 1


def test_meter_tells_failing_cameras(workspace: Workspace) -> None:
    make_camera(workspace)
    meter = Meter(workspace.catalog, clock)
    assert meter.read().cameras[0].health is Health.NEVER_POLLED
    end_poll(workspace, "quai-saone", Outcome.UNREACHABLE, failed=True)
    (camera,) = meter.read().cameras
    assert (camera.health, camera.failed) == (Health.FAILING, 1)


def test_meter_knows_what_is_under_way(workspace: Workspace) -> None:
    make_camera(workspace)
    meter = Meter(workspace.catalog, clock)
    assert meter.read().under_way == 0
    make_image(workspace, Wanted(state="stored"))
    assert meter.read().under_way == 1
    workspace.catalog.cameras.claim("quai-saone", "token", NOW, NOW + timedelta(minutes=1))
    assert meter.read().under_way == 2


def test_meter_tells_earlier_images_apart(workspace: Workspace) -> None:
    make_image(workspace, Wanted(at=MORNING))
    make_image(workspace, Wanted(at=MORNING + timedelta(seconds=1), state="stored"))
    waited = make_image(workspace, Wanted(at=MORNING + timedelta(seconds=2), state="stored"))
    meter = Meter(workspace.catalog, clock)
    make_image(workspace, Wanted(at=MORNING + timedelta(seconds=3), state="stored"))
    assert (meter.earlier.kept, len(meter.earlier.waiting), meter.count_finished()) == (3, 2, 0)
    workspace.catalog.images.remove(waited)
    assert meter.count_finished() == 1
