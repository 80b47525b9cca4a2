from __future__ import annotations

import pytest

from pipeline.records import Camera
from services.scheduler.sources import remove_camera
from services.simulation.city import City
from services.simulation.server import serve
from traboule.discovery import Change, find_cameras, take_up
from traboule.workspace import Workspace

QUAI = Camera(id="quai", url="https://lyon.example/1.jpg", feed="grandlyon")


def test_camera_that_was_removed_is_taken_up_by_hand(workspace: Workspace) -> None:
    assert [one.change for one in take_up(workspace, [QUAI])] == [Change.ADDED]
    assert remove_camera(workspace.catalog, workspace.store, "quai")
    assert [one.change for one in take_up(workspace, [QUAI])] == [Change.ADDED]
    assert [row.id for row in workspace.catalog.cameras.all()] == ["quai"]


def test_simulated_city_is_found_where_the_environment_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with serve(City(2)) as server:
        monkeypatch.setenv("SCHEDULER_SIMULATION_URL", server.url)
        found = find_cameras("simulation")
    assert [camera.url for camera in found] == [
        server.camera_url("sim-1"),
        server.camera_url("sim-2"),
    ]
