"""The truth names what the picture shows, and where."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from services.simulation.drawing import draw
from services.simulation.geometry import HEIGHT_PX, WIDTH_PX, build_camera
from services.simulation.scene import Item, Scene, build_scene
from services.simulation.truth import SeenObject, find_objects

CAMERA = build_camera(seed=0, number=1)
LABELS = ("person", "bicycle", "car", "motorcycle", "bus", "truck")


def item(label: str, *, x_m: float = 1.6, z_m: float = 30.0) -> Item:
    return Item(label, x_m, z_m, 1, (200, 30, 30))


def see(*items: Item) -> tuple[SeenObject, ...]:
    return find_objects(Scene(CAMERA, False, items))


def test_boxes_lie_within_the_picture() -> None:
    found = 0
    for frame in range(20):
        for one in find_objects(build_scene(CAMERA, frame, night=False)):
            left, top, right, bottom = one.box
            assert 0 <= left < right <= WIDTH_PX
            assert 0 <= top < bottom <= HEIGHT_PX
            assert one.label in LABELS
            found += 1
    assert found > 100


def test_vehicles_move_between_frames() -> None:
    def cars(frame: int) -> set[tuple[float, float, float, float]]:
        scene = build_scene(CAMERA, frame, night=False)
        driven = tuple(one for one in scene.objects if one.label == "car" and not one.parked)
        return {one.box for one in see(*driven)}

    frames = [cars(frame) for frame in range(100, 130)]
    pairs = [(a, b) for a, b in itertools.pairwise(frames) if a and b]
    assert len(pairs) > 10
    assert not any(before & after for before, after in pairs)


@pytest.mark.parametrize("label", LABELS)
def test_box_surrounds_what_is_drawn(label: str) -> None:
    scene = Scene(CAMERA, False, (item(label),))
    bare = np.asarray(draw(Scene(CAMERA, False), noise_seed=1), np.int16)
    changed = np.abs(np.asarray(draw(scene, noise_seed=1), np.int16) - bare).max(axis=2) > 40
    boxes = [one.box for one in find_objects(scene)]
    left, top = min(box[0] for box in boxes), min(box[1] for box in boxes)
    right, bottom = max(box[2] for box in boxes), max(box[3] for box in boxes)
    rows, columns = np.nonzero(changed)
    assert rows.min() == pytest.approx(top, abs=4)
    assert columns.min() >= left - 14  # its shadow lies beside it
    assert columns.max() <= right + 14
    inside = changed[int(top) : int(bottom), int(left) : int(right)]
    assert inside.mean() > 0.3


def test_rider_is_a_person_and_a_machine() -> None:
    assert {one.label for one in see(item("bicycle"))} == {"bicycle", "person"}
    assert {one.label for one in see(item("motorcycle"))} == {"motorcycle", "person"}


def test_what_stands_behind_a_bus_is_left_out() -> None:
    bus, car = item("bus", z_m=25.0), item("car", z_m=40.0)
    assert [one.label for one in see(car)] == ["car"]
    assert [one.label for one in see(bus, car)] == ["bus"]


def test_what_is_outside_the_picture_is_left_out() -> None:
    assert see(item("car", x_m=60.0)) == ()
