"""`moving-object` tells a change from light and noise, and depends on the thumbnails alone."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from pipeline.records import Thumbnail
from services.detection.detector import DecodedImage
from services.detection.motion import MovingObject

WIDTH, HEIGHT = 96, 54
PICTURE = np.zeros((1080, 1920, 3), np.uint8)

Grey = npt.NDArray[np.float64]


def draw_street(seed: int = 0, brightness: float = 0.0, noise: float = 2.0) -> Grey:
    gradient = np.linspace(60, 160, HEIGHT)[:, None] + np.linspace(0, 30, WIDTH)[None, :]
    return gradient + brightness + np.random.default_rng(seed).normal(0, noise, (HEIGHT, WIDTH))


def make_thumbnail(grey: Grey) -> Thumbnail:
    height, width = grey.shape
    pixels = np.clip(grey, 0, 255).astype(np.uint8).tobytes()
    return Thumbnail(width=width, height=height, pixels=pixels)


def add_vehicle(grey: Grey, x: int, y: int) -> Grey:
    changed = grey.copy()
    changed[y : y + 6, x : x + 10] = 230
    return changed


def make_image(now: Grey, before: Grey) -> DecodedImage:
    return DecodedImage(PICTURE, make_thumbnail(now), make_thumbnail(before))


def test_motion_finds_a_new_vehicle_in_the_pixels_of_the_picture() -> None:
    image = make_image(add_vehicle(draw_street(1), 40, 20), draw_street(2))
    [(found,)] = MovingObject().detect([image])
    box = found.box
    assert [box.x1, box.y1, box.x2, box.y2] == pytest.approx([800, 400, 1000, 520], abs=21)
    assert (found.label, found.detector) == ("moving-object", "moving-object")
    assert found.score > 0.5


@pytest.mark.parametrize("brightness", [-40.0, 0.0, 30.0])
@pytest.mark.parametrize("noise", [1.0, 6.0])
def test_motion_ignores_light_and_noise(brightness: float, noise: float) -> None:
    image = make_image(draw_street(1, brightness, noise), draw_street(2, 0.0, noise))
    assert MovingObject().detect([image]) == [()]


def test_motion_sees_a_vehicle_through_a_change_of_light() -> None:
    image = make_image(add_vehicle(draw_street(1, brightness=25), 10, 30), draw_street(2))
    [(found,)] = MovingObject().detect([image])
    assert found.box.x1 == pytest.approx(200, abs=21)


def test_motion_scores_a_faint_change_lower() -> None:
    faint = draw_street(1)
    faint[20:26, 40:50] += 30
    [(weak,)] = MovingObject().detect([make_image(faint, draw_street(2))])
    clear = add_vehicle(draw_street(1), 40, 20)
    [(strong,)] = MovingObject().detect([make_image(clear, draw_street(2))])
    assert 0 <= weak.score < strong.score <= 1


def test_motion_without_a_comparable_thumbnail_finds_nothing() -> None:
    street = make_thumbnail(draw_street())
    smaller = make_thumbnail(add_vehicle(draw_street(), 40, 20)[:50])
    images = [
        DecodedImage(PICTURE),
        DecodedImage(PICTURE, street, None),
        DecodedImage(PICTURE, None, street),
        DecodedImage(PICTURE, smaller, street),
    ]
    assert MovingObject().detect(images) == [(), (), (), ()]


def test_motion_is_the_same_in_any_order() -> None:
    images = [make_image(add_vehicle(draw_street(i), 8 * i, 20), draw_street(9)) for i in range(6)]
    detector = MovingObject()
    forwards = detector.detect(images)
    assert all(forwards)
    assert detector.detect(images[::-1])[::-1] == forwards
    assert [MovingObject().detect([image])[0] for image in images] == forwards
