from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from pipeline.decoding import (
    DecodeLimits,
    measure_conditions,
    read_header,
    reduced_grey,
)
from pipeline.hashing import perceptual_hash
from pipeline.looks import Look
from pipeline.novelty import find_near_duplicate
from pipeline.records import Thumbnail
from pipeline.thumbnails import thumbnail, thumbnail_array
from services.simulation.drawing import draw
from services.simulation.geometry import build_camera
from services.simulation.scene import Item, Scene, build_scene
from services.simulation.truth import find_objects

MAX_DISTANCE = 3
Grey = npt.NDArray[np.floating[Any]]


def look_at(image: Image.Image, name: str = "") -> Look:
    """As ingest sees it: through a JPEG."""
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=75)
    data = buffer.getvalue()
    grey = reduced_grey(data, read_header(data, DecodeLimits()))
    return Look(name, perceptual_hash(grey), thumbnail(grey), measure_conditions(grey))


def make_look(levels: Grey, seed: int, name: str = "") -> Look:
    noise = np.random.default_rng(seed).normal(0, 4, levels.shape)
    pixels = np.clip(levels + noise, 0, 255).astype(np.uint8)
    return look_at(Image.fromarray(pixels), name)


def make_street(contrast: float) -> Grey:
    """Blocks of grey around 100, as far from it as `contrast`."""
    blocks = np.random.default_rng(0).uniform(-contrast, contrast, (6, 8))
    return np.kron(100 + blocks, np.ones((60, 80)))


def add_box(levels: Grey, by: float) -> Grey:
    """A thing of 30 x 20 pixels, which the hash hardly sees."""
    with_box = levels.copy()
    with_box[200:220, 300:330] += by
    return with_box


BRIGHT, FLAT = make_street(90), make_street(10)


@pytest.mark.parametrize("street", [BRIGHT, FLAT])
def test_noise_alone_is_a_near_duplicate(street: Grey) -> None:
    like = find_near_duplicate(make_look(street, 1), [make_look(street, 2, "a")], MAX_DISTANCE)
    assert like is not None
    assert like.image_id == "a"


@pytest.mark.parametrize("street", [BRIGHT, FLAT])
def test_a_thing_that_came_is_new(street: Grey) -> None:
    now, before = make_look(add_box(street, 40), 1), make_look(street, 2)
    assert find_near_duplicate(now, [before], MAX_DISTANCE) is None
    assert find_near_duplicate(before, [now], MAX_DISTANCE) is None


def test_another_light_on_the_whole_picture_is_no_news() -> None:
    assert find_near_duplicate(make_look(BRIGHT + 12, 1), [make_look(BRIGHT, 2)], MAX_DISTANCE)


def test_change_too_faint_to_show_is_no_news() -> None:
    look = make_look(BRIGHT, 1)
    for levels, is_news in ((4, False), (9, True)):
        pixels = thumbnail_array(look.thumbnail).copy()
        pixels[20:24, 40:44] += np.uint8(levels)
        changed = look.thumbnail.model_copy(update={"pixels": pixels.tobytes()})
        now = dataclasses.replace(look, thumbnail=changed)
        assert (find_near_duplicate(now, [look], MAX_DISTANCE) is None) == is_news


def test_strong_noise_is_no_news_but_a_large_change_in_it_is() -> None:
    grain = [np.random.default_rng(seed).normal(0, 25, BRIGHT.shape) for seed in (1, 2)]
    now, before = (make_look(BRIGHT + noise, 3) for noise in grain)
    assert find_near_duplicate(now, [before], MAX_DISTANCE)
    changed = make_look(add_box(BRIGHT, 90) + grain[0], 3)
    assert find_near_duplicate(changed, [before], MAX_DISTANCE) is None


def test_distance_says_how_many_bits_differ_where_the_hash_counts() -> None:
    bright = find_near_duplicate(make_look(BRIGHT, 1), [make_look(BRIGHT, 2)], MAX_DISTANCE)
    flat = find_near_duplicate(make_look(FLAT, 1), [make_look(FLAT, 2)], MAX_DISTANCE)
    assert bright is not None and bright.distance is not None and bright.distance <= MAX_DISTANCE
    assert flat is not None and flat.distance is None
    assert "contrast" in flat.reason


def test_hash_counts_only_where_both_frames_have_contrast() -> None:
    now, before = make_look(BRIGHT, 1), make_look(BRIGHT, 2)
    far = dataclasses.replace(before, phash=f"{int(now.phash, 16) ^ 0xFF:016x}")
    assert find_near_duplicate(now, [far], MAX_DISTANCE) is None
    assert find_near_duplicate(now, [far], 8)
    flat = now.conditions.model_copy(update={"contrast": 5.0})
    assert find_near_duplicate(now, [dataclasses.replace(far, conditions=flat)], MAX_DISTANCE)


def test_every_recent_image_is_compared_and_the_first_alike_is_named() -> None:
    other = make_look(add_box(BRIGHT, 40), 3, "other")
    recent = [other, make_look(BRIGHT, 1, "newer"), make_look(BRIGHT, 2, "older")]
    like = find_near_duplicate(make_look(BRIGHT, 4), recent, MAX_DISTANCE)
    assert like is not None
    assert like.image_id == "newer"


def test_what_cannot_be_compared_is_kept() -> None:
    look = make_look(BRIGHT, 1)
    assert find_near_duplicate(look, [], MAX_DISTANCE) is None
    assert find_near_duplicate(look, [make_look(BRIGHT[:300], 1)], 64) is None
    line = dataclasses.replace(look, thumbnail=Thumbnail(width=96, height=1, pixels=bytes(96)))
    assert find_near_duplicate(line, [line], 64) is None


def test_distance_below_zero_keeps_even_the_same_picture() -> None:
    look = make_look(BRIGHT, 1)
    assert find_near_duplicate(look, [look], 0)
    assert find_near_duplicate(look, [look], -1) is None


def add_vehicle(scene: Scene, rng: np.random.Generator) -> Scene:
    """`scene` and a car more, at any distance, that can be seen."""
    while True:
        x_m, z_m = (
            float(rng.choice((-1.6, 1.6))),
            float(np.exp(rng.uniform(np.log(11), np.log(90)))),
        )
        car = Item("car", x_m, z_m, 1 if x_m > 0 else -1, (122, 126, 130), int(rng.integers(6)))
        fuller = dataclasses.replace(scene, objects=(*scene.objects, car))
        if len(find_objects(fuller)) > len(find_objects(scene)):
            return fuller


def photograph_nights() -> Iterator[tuple[Look, list[Look], list[Look]]]:
    """A street at night, twice again, and twice with another car more."""
    rng = np.random.default_rng(5)
    for number in range(15):
        scene = build_scene(build_camera(7, 1 + number % 2), 7 * number, night=True)
        yield (
            look_at(draw(scene, noise_seed=0)),
            [look_at(draw(scene, noise_seed=seed)) for seed in (1, 2)],
            [look_at(draw(add_vehicle(scene, rng), noise_seed=seed)) for seed in (1, 2)],
        )


def test_at_night_new_vehicles_are_kept_and_noise_is_dropped() -> None:
    dropped, kept = [], []
    for before, again, fuller in photograph_nights():
        dropped += [find_near_duplicate(look, [before], MAX_DISTANCE) is not None for look in again]
        kept += [find_near_duplicate(look, [before], MAX_DISTANCE) is None for look in fuller]
    assert len(dropped) == len(kept) == 30
    assert np.mean(dropped) >= 0.95
    assert np.mean(kept) >= 0.95
