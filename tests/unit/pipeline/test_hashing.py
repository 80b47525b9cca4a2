from __future__ import annotations

import os
from collections.abc import Iterator
from io import BytesIO
from itertools import islice
from pathlib import Path

import imagehash
import numpy as np
import pytest
from PIL import Image, ImageDraw

from pipeline.decoding import DecodeLimits, read_header, reduced_grey
from pipeline.hashing import distance, perceptual_hash, sha256_of

SIZES = [(1920, 1080), (1280, 720), (640, 480), (320, 240)]
DRAWN, REAL = 25, 40


def draw_pictures() -> Iterator[Image.Image]:
    """Skies, boxes and noise: broad shapes and fine grain, as streets have."""
    for seed in range(DRAWN):
        rng = np.random.default_rng(seed)
        image = Image.linear_gradient("L").resize((960, 540)).convert("RGB")
        pen = ImageDraw.Draw(image)
        for _ in range(40):
            x, y = rng.integers(0, (960, 540)).tolist()
            width, height = rng.integers(10, 260, 2).tolist()
            pen.rectangle((x, y, x + width, y + height), fill=tuple(rng.integers(0, 256, 3)))
        grain = Image.effect_noise(image.size, 40).convert("RGB")
        yield Image.blend(image, grain, 0.15)


def read_pictures(folder: Path) -> Iterator[Image.Image]:
    for path in islice(sorted(folder.rglob("*.jpg")), 0, None, 7):
        with Image.open(path) as image:
            if min(image.size) >= 240:
                yield image.convert("RGB")


def measure_distances(pictures: Iterator[Image.Image], size: tuple[int, int]) -> list[int]:
    """Our hash of each picture's JPEG at `size`, against imagehash's of the full decode."""
    distances = []
    for picture in pictures:
        buffer = BytesIO()
        picture.resize(size).save(buffer, "JPEG", quality=85)
        data = buffer.getvalue()
        ours = perceptual_hash(reduced_grey(data, read_header(data, DecodeLimits())))
        with Image.open(BytesIO(data)) as image:
            distances.append(distance(ours, str(imagehash.phash(image))))
    return distances


@pytest.mark.parametrize("size", SIZES)
def test_hash_of_the_reduced_picture_is_imagehashs_of_the_whole(size: tuple[int, int]) -> None:
    assert np.percentile(measure_distances(draw_pictures(), size), 99) <= 2


@pytest.mark.parametrize("size", SIZES)
def test_hash_of_real_pictures_is_imagehashs_of_the_whole(size: tuple[int, int]) -> None:
    folder = os.environ.get("TRABOULE_IMAGES_DIR")
    if not folder:
        pytest.skip("TRABOULE_IMAGES_DIR names no folder of real images")
    distances = measure_distances(islice(read_pictures(Path(folder)), REAL), size)
    assert distances, f"no image in {folder}"
    assert np.percentile(distances, 99) <= 2


def test_hash_is_16_hex_digits() -> None:
    value = perceptual_hash(Image.new("L", (240, 135), 7))
    assert len(value) == 16
    assert int(value, 16) >= 0


def test_hashes_of_different_pictures_are_far_apart() -> None:
    first, second = (perceptual_hash(image) for image in islice(draw_pictures(), 2))
    assert distance(first, second) > 10


def test_distance_counts_the_bits_that_differ() -> None:
    assert distance("0" * 16, "f" * 16) == 64
    assert distance("00000000000000ff", "00000000000000fe") == 1
    assert distance("a5" * 8, "a5" * 8) == 0


def test_sha256_is_of_the_bytes() -> None:
    assert sha256_of(b"abc").startswith("ba7816bf8f01cfea")
    assert len(sha256_of(b"")) == 64
