"""What stands in the street, frame after frame."""

from __future__ import annotations

import pytest

from services.simulation.geometry import build_camera
from services.simulation.scene import (
    CROSSING_M,
    FARTHEST_M,
    NEAREST_M,
    Item,
    Scene,
    build_scene,
    park_cars,
)

CAMERA = build_camera(seed=0, number=1)
FRAMES = range(1_000, 1_120)
DAY = {frame: build_scene(CAMERA, frame, night=False) for frame in FRAMES}


def moving(scene: Scene) -> list[Item]:
    return [item for item in scene.objects if not item.parked]


def test_scene_is_a_function_of_camera_and_frame() -> None:
    assert build_scene(CAMERA, 7, night=False) == build_scene(CAMERA, 7, night=False)
    assert build_scene(CAMERA, 7, night=False) != build_scene(CAMERA, 8, night=False)
    other = build_camera(seed=1, number=1)
    assert moving(build_scene(other, 7, night=False)) != moving(build_scene(CAMERA, 7, night=False))


def test_vehicle_moves_along_its_lane_by_a_few_lengths() -> None:
    steps = []
    for frame in FRAMES[:-1]:
        after = {(item.x_m, item.colour, item.style): item for item in moving(DAY[frame + 1])}
        for item in moving(DAY[frame]):
            follower = after.get((item.x_m, item.colour, item.style))
            if item.label == "car" and follower:
                steps.append((follower.z_m - item.z_m) * item.heading)
    assert len(steps) > 100
    assert all(8 < step < 16 for step in steps)


def test_moving_things_stay_within_sight() -> None:
    for scene in DAY.values():
        for item in moving(scene):
            assert NEAREST_M <= item.z_m <= FARTHEST_M


def test_street_is_sometimes_empty_of_traffic() -> None:
    counts = [len(moving(scene)) for scene in DAY.values()]
    assert 0.03 < counts.count(0) / len(counts) < 0.5


def test_nights_are_quieter_than_days() -> None:
    by_day = sum(len(moving(scene)) for scene in DAY.values())
    by_night = sum(len(moving(build_scene(CAMERA, frame, night=True))) for frame in FRAMES)
    assert 0 < by_night < by_day


def test_every_label_of_the_street_is_seen() -> None:
    labels = {item.label for scene in DAY.values() for item in scene.objects}
    assert labels == {"person", "bicycle", "car", "motorcycle", "bus", "truck"}


def test_nobody_crosses_before_a_vehicle() -> None:
    crossed = 0
    for scene in DAY.values():
        vehicles = [item for item in scene.objects if item.label != "person"]
        for walker in (item for item in scene.objects if item.heading == 0):
            crossed += 1
            assert abs(walker.z_m - CROSSING_M) < 2
            lane = [one for one in vehicles if abs(one.x_m - walker.x_m) < 2]
            assert all(abs(one.z_m - walker.z_m) > 7 for one in lane)
    assert crossed > 5


@pytest.mark.parametrize("number", range(1, 9))
def test_parked_cars_never_move(number: int) -> None:
    camera = build_camera(seed=0, number=number)
    parked = park_cars(camera)
    assert parked and all(abs(item.x_m) > camera.road_m for item in parked)
    for frame in (0, 1, 500):
        scene = build_scene(camera, frame, night=True)
        assert tuple(item for item in scene.objects if item.parked) == parked
