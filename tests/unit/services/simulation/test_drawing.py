"""Pictures of scenes: the same for the same scene, and unlike where the scene differs."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from services.simulation.drawing import draw
from services.simulation.geometry import HEIGHT_PX, WIDTH_PX, Camera, build_camera
from services.simulation.scene import Item, Scene, build_scene

DAY, NIGHT = build_camera(seed=0, number=1), build_camera(seed=0, number=2)


def grey(image: Image.Image) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.asarray(image.convert("L"), np.float32)


def test_same_scene_and_seed_give_the_same_pixels() -> None:
    scene = build_scene(DAY, 3, night=False)
    first = draw(scene, noise_seed=5)
    assert first.size == (WIDTH_PX, HEIGHT_PX) and first.mode == "RGB"
    assert first.tobytes() == draw(scene, noise_seed=5).tobytes()


@pytest.mark.parametrize(("camera", "night"), [(DAY, False), (NIGHT, True)])
def test_noise_differs_and_is_light(camera: Camera, night: bool) -> None:
    scene = Scene(camera, night)
    difference = grey(draw(scene, noise_seed=1)) - grey(draw(scene, noise_seed=2))
    assert 1 < difference.std() < 10
    assert abs(difference.mean()) < 0.1


def test_nights_are_darker_than_days() -> None:
    day = grey(draw(Scene(DAY, False), noise_seed=1))
    night = grey(draw(Scene(NIGHT, True), noise_seed=1))
    assert day.mean() > 2 * night.mean()
    assert night.max() > 200  # its lamps are lit


def test_vehicle_at_night_brings_light() -> None:
    car = Item("car", -1.6, 25.0, -1, (120, 120, 120))
    bare = grey(draw(Scene(NIGHT, True), noise_seed=1))
    lit = grey(draw(Scene(NIGHT, True, (car,)), noise_seed=1))
    assert ((lit - bare) > 60).sum() > 200


def test_nearer_things_are_painted_over_farther_ones() -> None:
    red = Item("truck", 1.6, 24.0, 1, (220, 20, 20))
    blue = Item("car", 1.6, 34.0, 1, (20, 20, 220))
    ways = [draw(Scene(DAY, False, order), noise_seed=1) for order in ((red, blue), (blue, red))]
    assert ways[0].tobytes() == ways[1].tobytes()


def test_street_is_not_painted_on() -> None:
    bare = draw(Scene(DAY, False), noise_seed=1).tobytes()
    draw(build_scene(DAY, 3, night=False), noise_seed=1)
    assert draw(Scene(DAY, False), noise_seed=1).tobytes() == bare
