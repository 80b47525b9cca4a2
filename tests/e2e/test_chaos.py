"""Faults: whatever is killed, cut off or filled up, no image is lost and no result doubled.

The table at the end says for each fault what was measured.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e import server_faults as servers
from tests.e2e import worker_faults as workers
from tests.e2e.fault import Fault
from tests.e2e.lanes import Lane
from tests.e2e.table import ROWS

ALL_WITHIN_S = 1500

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(ALL_WITHIN_S)]

LANES: dict[str, tuple[Fault, ...]] = {
    "workers": (
        Fault("scheduler: kill -9", workers.kill_scheduler),
        Fault("capture: kill -9", workers.kill_capture),
        Fault("detection: kill -9", workers.kill_detection),
        Fault("maintenance: kill -9", workers.kill_maintenance),
        Fault("two schedulers", workers.double_scheduler),
        Fault("detection: paused beyond the visibility timeout", workers.pause_beyond_visibility),
        Fault("detection: SIGSTOP to its worker", workers.stop_worker),
        Fault("detection: a task hangs", workers.hang_task),
    ),
    "broker": (
        Fault("broker: kill -9", servers.kill_broker),
        Fault("broker: restarted with its data", servers.restart_broker),
        Fault("broker: restarted, its data wiped", servers.wipe_broker),
        Fault("broker: full", servers.fill_broker),
        Fault("detection: cut off from the store", servers.cut_detection_off),
        Fault("detection: killed between image and detections", workers.die_after_image),
        Fault("detection: killed before the delete from raw", workers.die_before_delete),
    ),
    "store": (
        Fault("object store: kill -9", servers.kill_object_store),
        Fault("catalog: kill -9", servers.kill_catalog),
        Fault("object store: stopped for 60 s", servers.stop_object_store),
        Fault("catalog: stopped for 60 s", servers.stop_catalog),
        Fault("object store: disk full", servers.fill_disk),
    ),
}
LANE_OF = {fault.name: lane for lane, faults in LANES.items() for fault in faults}


@pytest.fixture(autouse=True)
def engines() -> None:
    """In place of the one that disposes every engine at a test's end: lanes are at work then, and
    a connection in their hands would go back to a pool that nobody closes."""


@pytest.fixture(scope="module")
def lanes(request: pytest.FixtureRequest, images: None) -> Iterator[dict[str, Lane]]:
    """All lanes at work, on the faults that were asked for."""
    wanted = {fault for item in request.session.items for fault in _faults_of(item)}
    lanes = {}
    for name, faults in LANES.items():
        asked_for = [fault for fault in faults if fault.name in wanted]
        if asked_for:
            lanes[name] = Lane(name, asked_for, small_disk=name == "store")
            lanes[name].start()
    yield lanes
    for lane in lanes.values():
        lane.stopped.set()
    for lane in lanes.values():
        lane.stop()


@pytest.mark.parametrize("fault", LANE_OF)
def test_fault_loses_and_doubles_nothing(
    fault: str, lanes: dict[str, Lane], pytestconfig: pytest.Config
) -> None:
    row = lanes[LANE_OF[fault]].rows[fault].result(timeout=ALL_WITHIN_S)
    pytestconfig.stash[ROWS].append(row)
    assert not row.lost, f"{len(row.lost)} images were kept, and are lost: {row.lost[:5]}"
    assert not row.orphans, f"{len(row.orphans)} objects belong to nothing: {row.orphans[:5]}"
    assert row.results == row.kept > 0


def _faults_of(item: pytest.Item) -> list[str]:
    """None of another test's."""
    parameters = getattr(item, "callspec", None)
    return [parameters.params["fault"]] if parameters and "fault" in parameters.params else []
