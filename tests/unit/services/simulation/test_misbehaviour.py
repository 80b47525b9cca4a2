"""The bytes that misbehaving cameras send."""

from __future__ import annotations

import io
import warnings

import pytest
from PIL import Image, UnidentifiedImageError

from services.simulation.misbehaviour import (
    HUGE_BYTES,
    build_jpeg_bomb,
    build_png_bomb,
    draw_placeholder,
    stream_huge_body,
    truncate,
)


def declared_size(content: bytes) -> tuple[int, int]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(io.BytesIO(content)).size
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def test_png_bomb_is_small_and_declares_900_megapixels() -> None:
    bomb = build_png_bomb()
    assert len(bomb) < 200_000
    assert declared_size(bomb) == (30_000, 30_000)
    with pytest.raises(Image.DecompressionBombError):
        Image.open(io.BytesIO(bomb))


def test_jpeg_bomb_is_small_and_declares_4_gigapixels() -> None:
    bomb = build_jpeg_bomb()
    assert len(bomb) < 2_000
    assert declared_size(bomb) == (65_500, 65_500)


def test_placeholder_is_always_the_same_jpeg() -> None:
    first = draw_placeholder()
    draw_placeholder.cache_clear()
    assert draw_placeholder() == first
    Image.open(io.BytesIO(first)).load()


def test_truncated_jpeg_has_no_end() -> None:
    cut = truncate(draw_placeholder())
    assert b"\xff\xd9" not in cut
    with pytest.raises(OSError, match="truncated"):
        Image.open(io.BytesIO(cut)).load()


def test_huge_body_is_100_mb_that_no_decoder_knows() -> None:
    chunks = list(stream_huge_body())
    assert sum(map(len, chunks)) == HUGE_BYTES
    assert len({id(chunk) for chunk in chunks}) == 2  # one filler, sent again and again
    with pytest.raises(UnidentifiedImageError):
        Image.open(io.BytesIO(chunks[0]))
