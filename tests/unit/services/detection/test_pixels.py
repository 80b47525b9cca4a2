"""What is decoded, what is refused, and what an encoded picture must not carry."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import UnreadableImage
from pipeline.records import Outcome
from services.detection.pixels import decode_pixels, encode_jpeg, reduce_to


def draw_jpeg(orientation: int = 1) -> bytes:
    """A picture of 60 x 40, red on its left half and blue on its right."""
    image = Image.new("RGB", (60, 40), (0, 0, 255))
    image.paste((255, 0, 0), (0, 0, 30, 40))
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "a maker of cameras"
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=95, exif=exif)
    return buffer.getvalue()


def test_decode_gives_blue_green_red() -> None:
    pixels = decode_pixels(draw_jpeg())
    assert pixels.shape == (40, 60, 3)
    assert pixels.dtype == np.uint8
    assert pixels[20, 10].argmax() == 2
    assert pixels[20, 50].argmax() == 0


def test_decode_applies_the_orientation() -> None:
    pixels = decode_pixels(draw_jpeg(orientation=6))  # turned a quarter clockwise
    assert pixels.shape == (60, 40, 3)
    assert pixels[10, 20].argmax() == 2
    assert pixels[50, 20].argmax() == 0


def test_decode_gives_three_channels_for_grey() -> None:
    buffer = io.BytesIO()
    Image.new("L", (20, 10), 100).save(buffer, "PNG")
    assert decode_pixels(buffer.getvalue()).shape == (10, 20, 3)


def test_decode_keeps_the_top_of_a_truncated_jpeg() -> None:
    noise = np.random.default_rng(1).integers(0, 255, (200, 300, 3), np.uint8)
    data = encode_jpeg(noise)
    whole, half = decode_pixels(data), decode_pixels(data[: len(data) // 2])
    assert half.shape == whole.shape
    assert np.array_equal(half[:64], whole[:64])
    assert np.ptp(half[-8:]) == 0  # nothing of another picture in the part that is missing


@pytest.mark.parametrize("data", [b"", b"<html>sorry</html>", b"\xff\xd8", b"\xff\xd8\xff\xd9"])
def test_decode_refuses_what_is_no_image(data: bytes) -> None:
    with pytest.raises(UnreadableImage) as refusal:
        decode_pixels(data)
    assert refusal.value.outcome is Outcome.NOT_AN_IMAGE


def test_encode_carries_no_metadata() -> None:
    received = draw_jpeg(orientation=6)
    encoded = encode_jpeg(decode_pixels(received))
    assert b"a maker of cameras" in received
    assert b"a maker of cameras" not in encoded
    assert b"Exif" not in encoded
    with Image.open(io.BytesIO(encoded)) as image:
        assert not image.getexif()
        assert image.size == (40, 60)


def test_encode_refuses_a_side_beyond_jpeg() -> None:
    with pytest.raises(UnreadableImage) as refusal:
        encode_jpeg(np.zeros((1, 70_000, 3), np.uint8))
    assert refusal.value.outcome is Outcome.TOO_MANY_PIXELS


@pytest.mark.parametrize(
    ("width", "height", "expected", "factor"),
    [(100, 50, (50, 100, 3), 1.0), (400, 100, (50, 200, 3), 2.0), (3000, 2, (1, 200, 3), 15.0)],
)
def test_reduce_to_keeps_the_longest_side(
    width: int, height: int, expected: tuple[int, ...], factor: float
) -> None:
    reduced, scale = reduce_to(np.zeros((height, width, 3), np.uint8), 200)
    assert reduced.shape == expected
    assert scale == factor
