"""Perspective: nearer is lower and larger."""

from __future__ import annotations

import pytest

from services.simulation.geometry import HEIGHT_PX, WIDTH_PX, build_camera

CAMERA = build_camera(seed=0, number=2)


def test_camera_is_fixed_by_seed_and_number() -> None:
    assert build_camera(3, 1) == build_camera(3, 1)
    assert len({build_camera(3, number).height_m for number in range(1, 9)}) == 8


def test_nearer_things_are_lower_and_larger() -> None:
    near, far = CAMERA.project((0, 0, 20)), CAMERA.project((0, 0, 60))
    assert CAMERA.horizon_px < far[1] < near[1]
    assert CAMERA.pixels_per_m(0, 20) == pytest.approx(3 * CAMERA.pixels_per_m(0, 60), rel=0.15)


@pytest.mark.parametrize("number", range(1, 21))
def test_every_camera_sees_the_road_before_it(number: int) -> None:
    x, y = build_camera(0, number).project((0.0, 0.0, 25.0))
    assert 0.2 * WIDTH_PX < x < 0.8 * WIDTH_PX
    assert 0.4 * HEIGHT_PX < y < HEIGHT_PX


def test_street_runs_towards_its_vanishing_point() -> None:
    x, y = CAMERA.project((0.0, 0.0, 1e6))
    assert x == pytest.approx(CAMERA.vanishing_px, abs=1)
    assert y == pytest.approx(CAMERA.horizon_px, abs=3)
