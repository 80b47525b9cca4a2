from __future__ import annotations

import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageDraw, ImageOps

from pipeline.decoding import (
    DecodeLimits,
    Header,
    measure_conditions,
    read_header,
    reduced_grey,
)
from pipeline.errors import UnreadableImage
from pipeline.records import Outcome

LIMITS = DecodeLimits()


def draw(width: int = 640, height: int = 360) -> Image.Image:
    """A street in three strokes: dark below, bright above, a box on the right."""
    image = Image.new("RGB", (width, height), (60, 60, 60))
    pen = ImageDraw.Draw(image)
    pen.rectangle((0, 0, width, height // 2), fill=(200, 210, 220))
    pen.rectangle((width * 3 // 4, height // 2, width, height * 3 // 4), fill=(180, 30, 30))
    return image


def encode(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + body))
    return struct.pack(">I", len(body)) + kind + body + checksum


def png_of_size(width: int, height: int) -> bytes:
    """A PNG whose header alone claims its size."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(b""))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data + chunk(b"IEND", b"")


def outcome_of(data: bytes) -> Outcome:
    with pytest.raises(UnreadableImage) as caught:
        read_header(data, LIMITS)
    return caught.value.outcome


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_header_says_what_the_image_is(kind: str) -> None:
    header = read_header(encode(draw(), kind), LIMITS)
    assert header == Header(kind, 640, 360, f"image/{kind.lower()}", truncated=False)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b" \r\n", "empty"),
        (b"<!DOCTYPE html><html><body>503</body></html>", "HTML"),
        (b"\xef\xbb\xbf\n<HTML>", "HTML"),
        (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b'<?xml version="1.0"?><Error/>', "XML"),
        (b'{"error": "no such camera"}', "JSON"),
        (b"\x00\x00\x00\x20ftypisom" + bytes(100), "MP4"),
        (b"\x00\x00\x00\x20ftypavif" + bytes(100), "AVIF"),
        (b"GIF89a" + bytes(100), "GIF"),
        (bytes(range(256)), "neither"),
        (b"\xff\xd8\xff\xe0", "JPEG"),
        (b"\xff\xd8" + bytes(1000), "JPEG"),
        (b"\x89PNG\r\n\x1a\n" + bytes(1000), "PNG"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 " + bytes(100), "WebP"),
    ],
)
def test_bytes_that_are_no_image_are_named(data: bytes, words: str) -> None:
    with pytest.raises(UnreadableImage) as caught:
        read_header(data, LIMITS)
    assert caught.value.outcome is Outcome.NOT_AN_IMAGE
    assert words.lower() in caught.value.reason.lower()


def test_small_image_is_too_small() -> None:
    assert outcome_of(encode(draw(63, 200))) is Outcome.TOO_SMALL
    assert read_header(encode(draw(64, 64)), LIMITS).width == 64


def test_bombs_are_refused_by_their_header() -> None:
    assert outcome_of(png_of_size(30_000, 30_000)) is Outcome.TOO_MANY_PIXELS
    jpeg = bytearray(encode(draw()))
    at = jpeg.index(b"\xff\xc0") + 5
    jpeg[at : at + 4] = struct.pack(">HH", 65_000, 65_000)
    assert outcome_of(bytes(jpeg)) is Outcome.TOO_MANY_PIXELS
    webp = bytearray(encode(draw(), "WEBP"))
    at = webp.index(b"\x9d\x01\x2a") + 3
    webp[at : at + 4] = struct.pack("<HH", 16_383, 16_383)
    assert outcome_of(bytes(webp)) is Outcome.TOO_MANY_PIXELS


def test_jpeg_of_countless_scans_is_refused() -> None:
    jpeg = encode(draw(), progressive=True)
    assert read_header(jpeg, LIMITS).width == 640
    scan = jpeg[jpeg.rindex(b"\xff\xda") : -2]
    assert outcome_of(jpeg[:-2] + scan * 100 + jpeg[-2:]) is Outcome.TOO_MANY_PIXELS


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_missing_end_is_noticed(kind: str) -> None:
    image = Image.effect_noise((640, 360), 60).convert("RGB")
    data = encode(image, kind)
    assert not read_header(data + bytes(200), LIMITS).truncated
    assert read_header(data[: len(data) * 3 // 4], LIMITS).truncated


def test_truncated_webp_is_refused() -> None:
    data = encode(draw(), "WEBP")
    assert outcome_of(data[:-10]) is Outcome.TRUNCATED


def test_truncated_jpeg_keeps_the_part_that_came() -> None:
    data = encode(draw(1920, 1080))
    cut = data[: len(data) // 2]
    header = read_header(cut, LIMITS)
    upper = (0, 0, 240, 30)
    whole = np.asarray(reduced_grey(data, read_header(data, LIMITS)).crop(upper), np.int16)
    part = np.asarray(reduced_grey(cut, header).crop(upper), np.int16)
    assert np.abs(whole - part).max() <= 1


def test_jpeg_cut_anywhere_is_decoded_or_refused_as_truncated() -> None:
    data = encode(draw(320, 240))
    for end in range(0, len(data) - 2, 37):
        try:
            header = read_header(data[:end], LIMITS)
        except UnreadableImage as error:
            assert error.outcome is Outcome.NOT_AN_IMAGE
            continue
        assert header.truncated
        try:
            assert reduced_grey(data[:end], header).size == (320, 240)
        except UnreadableImage as error:
            assert error.outcome is Outcome.TRUNCATED


def test_truncated_png_cannot_be_decoded() -> None:
    data = encode(Image.effect_noise((320, 240), 60), "PNG")[:20_000]
    with pytest.raises(UnreadableImage) as caught:
        reduced_grey(data, read_header(data, LIMITS))
    assert caught.value.outcome is Outcome.TRUNCATED


def test_png_whose_pixels_are_missing_is_not_an_image() -> None:
    data = png_of_size(320, 240)
    with pytest.raises(UnreadableImage) as caught:
        reduced_grey(data, read_header(data, LIMITS))
    assert caught.value.outcome is Outcome.NOT_AN_IMAGE


@pytest.mark.parametrize(
    ("size", "reduced"),
    [
        ((1920, 1080), (240, 135)),
        ((1280, 720), (320, 180)),
        ((640, 480), (320, 240)),
        ((320, 240), (320, 240)),
        ((1080, 1920), (270, 480)),
        ((5000, 64), (5000, 64)),
    ],
)
def test_decode_is_reduced_but_not_below_what_the_hash_needs(
    size: tuple[int, int], reduced: tuple[int, int]
) -> None:
    data = encode(draw(*size))
    grey = reduced_grey(data, read_header(data, LIMITS))
    assert (grey.mode, grey.size) == ("L", reduced)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "1", "I;16"])
def test_every_mode_of_png_becomes_grey(mode: str) -> None:
    image = draw().convert("L").convert("I").point(lambda v: v * 257).convert("I;16")
    if mode != "I;16":
        image = draw().convert(mode)
    options = {"transparency": b"\x00\x80"} if mode == "P" else {}
    data = encode(image, "PNG", **options)
    grey = reduced_grey(data, read_header(data, LIMITS))
    assert grey.mode == "L"
    above, below = grey.crop((10, 10, 50, 50)), grey.crop((10, 90, 50, 130))
    assert measure_conditions(above).brightness > measure_conditions(below).brightness + 50


def test_cmyk_jpeg_becomes_grey() -> None:
    data = encode(draw().convert("CMYK"))
    assert reduced_grey(data, read_header(data, LIMITS)).mode == "L"


def test_conditions_are_the_mean_and_the_spread_of_the_greys() -> None:
    image = Image.new("L", (100, 100), 50)
    image.paste(150, (0, 0, 50, 100))
    conditions = measure_conditions(image)
    assert (conditions.brightness, conditions.contrast) == (100.0, 50.0)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_to_size_and_pixels(orientation: int) -> None:
    """As a viewer would: the stored orientation undone."""
    upright = Image.new("L", (320, 200))
    ImageDraw.Draw(upright).rectangle((0, 0, 100, 60), fill=255)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    file = BytesIO()
    upright.save(file, "JPEG", quality=95, exif=exif)
    shown = ImageOps.exif_transpose(Image.open(BytesIO(file.getvalue())))
    header = read_header(file.getvalue(), DecodeLimits())
    assert (header.width, header.height) == shown.size
    grey = reduced_grey(file.getvalue(), header)
    expected = np.asarray(shown.resize(grey.size), np.int16)
    assert np.abs(np.asarray(grey, np.int16) - expected).mean() < 3
