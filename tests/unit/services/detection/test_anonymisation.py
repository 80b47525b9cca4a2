"""Blurring is irreversible and local, and the check fails closed on the encoded bytes."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.errors import NotAnonymised
from pipeline.records import BoundingBox
from services.detection.anonymisation import anonymise, blur_regions
from services.detection.pixels import Pixels, decode_pixels, encode_jpeg

BOX = BoundingBox(x1=100, y1=60, x2=140, y2=110)
FAR = BoundingBox(x1=10, y1=10, x2=30, y2=30)


def draw_noise() -> Pixels:
    return np.random.default_rng(2).integers(0, 255, (200, 240, 3), np.uint8)


class FaceFinder:
    """Gives one prepared answer after another, and keeps the pictures it was asked about."""

    def __init__(self, *answers: list[BoundingBox]) -> None:
        self.answers = list(answers)
        self.asked: list[Pixels] = []

    def __call__(self, pixels: Pixels) -> list[BoundingBox]:
        self.asked.append(pixels)
        return self.answers.pop(0)


def test_blur_leaves_the_given_pixels_and_what_is_outside() -> None:
    noise = draw_noise()
    blurred = blur_regions(noise, [BOX])
    assert np.array_equal(noise, draw_noise())
    changed = np.argwhere((blurred != noise).any(axis=2))
    assert changed.min(axis=0).tolist() == [45, 88]  # 0.3 of 50 above, of 40 on the left
    assert changed.max(axis=0).tolist() == [124, 151]


def test_blur_leaves_no_detail() -> None:
    noise = draw_noise()
    inside = np.s_[45:125, 88:152]
    blurred = blur_regions(noise, [BOX])[inside].astype(float)
    assert noise[inside].astype(float).std() > 60
    assert blurred.std() < 6
    # Neighbouring pixels are nearly equal everywhere: no edge of a cell remains.
    assert max(np.abs(np.diff(blurred, axis=axis)).max() for axis in (0, 1)) <= 3


def test_blur_forgets_which_face_it_was() -> None:
    # Two checks whose cells have the same averages give the same pixels.
    fine = (np.indices((200, 240)).sum(axis=0) % 2 * 255).astype(np.uint8)[..., None].repeat(3, 2)
    inverted = 255 - fine
    one, other = (blur_regions(image, [BOX])[50:120, 95:145] for image in (fine, inverted))
    assert np.abs(one.astype(int) - other).max() <= 4


@pytest.mark.parametrize(
    "box",
    [
        BoundingBox(x1=0, y1=0, x2=5, y2=4),
        BoundingBox(x1=238, y1=199, x2=240, y2=200),
        BoundingBox(x1=0, y1=0, x2=240, y2=200),
    ],
)
def test_blur_takes_boxes_of_any_size_and_place(box: BoundingBox) -> None:
    blurred = blur_regions(draw_noise(), [box])
    assert blurred.shape == (200, 240, 3)
    rows, columns = slice(int(box.y1), int(box.y2) + 1), slice(int(box.x1), int(box.x2) + 1)
    assert blurred[rows, columns].astype(float).std() < 40  # 74 in the noise


def test_anonymise_without_faces_blurs_nothing() -> None:
    finder = FaceFinder([])
    result = anonymise(draw_noise(), [], finder)
    assert (result.blurred, result.rounds) == (0, 0)
    assert result.jpeg == encode_jpeg(draw_noise())


def test_anonymise_checks_the_encoded_bytes() -> None:
    finder = FaceFinder([])
    result = anonymise(draw_noise(), [BOX], finder)
    assert np.array_equal(finder.asked[0], decode_pixels(result.jpeg))
    assert np.array_equal(result.pixels, finder.asked[0])
    assert result.pixels[60:110, 100:140].astype(float).std() < 6
    assert (result.blurred, result.rounds) == (1, 1)


def test_anonymise_blurs_what_is_found_again() -> None:
    finder = FaceFinder([FAR], [FAR], [])
    result = anonymise(draw_noise(), [BOX], finder)
    assert (result.blurred, result.rounds) == (3, 3)
    assert len(finder.asked) == 3
    assert result.pixels[12:28, 12:28].astype(float).std() < 6
    assert result.pixels[60:110, 100:140].astype(float).std() < 6


def test_anonymise_blurs_a_face_first_found_after_encoding() -> None:
    result = anonymise(draw_noise(), [], FaceFinder([FAR], []))
    assert (result.blurred, result.rounds) == (1, 1)


def test_anonymise_gives_nothing_if_a_face_stays() -> None:
    finder = FaceFinder([BOX], [BOX], [BOX])
    with pytest.raises(NotAnonymised, match="1 faces are still found after 3 rounds"):
        anonymise(draw_noise(), [BOX], finder)
    assert not finder.answers


def test_anonymise_does_not_hide_a_failing_check() -> None:
    def fail(pixels: Pixels) -> list[BoundingBox]:
        raise MemoryError

    with pytest.raises(MemoryError):
        anonymise(draw_noise(), [BOX], fail)
