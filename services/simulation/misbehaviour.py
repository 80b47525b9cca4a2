"""What goes wrong with real cameras, by name, and the bytes that some of it needs."""

from __future__ import annotations

import functools
import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from PIL import Image, ImageDraw

HUGE_BYTES = 100 * 1024 * 1024
CHUNK_BYTES = 64 * 1024
BOMB_SIDE_PX = 30_000
RETRY_AFTER_S = 7


class Misbehaviour(StrEnum):
    """How a camera misbehaves until it is told otherwise."""

    NOT_MODIFIED = "not-modified"  # 304, whatever was asked
    SAME_BYTES = "same-bytes"  # 200 with the frame shown when it began
    PLACEHOLDER = "placeholder"  # "no picture", always the same bytes
    TRUNCATED = "truncated"  # a complete answer whose JPEG has no end
    SLOW = "slow"
    DRIPPED_HEADERS = "dripped-headers"
    DRIPPED_BODY = "dripped-body"
    STALLED = "stalled"  # takes the request and says nothing
    NOT_FOUND = "404"
    SERVER_ERROR = "500"
    RATE_LIMITED = "429"
    RESET = "reset"
    HUGE_BODY = "huge-body"  # 100 MB of no declared length
    PNG_BOMB = "png-bomb"  # decodes to 900 megapixels
    JPEG_BOMB = "jpeg-bomb"  # declares 4 gigapixels


@dataclass(frozen=True)
class Pace:
    """How slow the slow misbehaviours are, in seconds."""

    slow_s: float = 3.0
    drip_s: float = 0.3  # between two bytes
    patience_s: float = 60.0  # how long a drip or a silence lasts


def truncate(picture: bytes) -> bytes:
    """The first two thirds: of a JPEG, without its end-of-image marker."""
    return picture[: len(picture) * 2 // 3]


@functools.cache
def draw_placeholder() -> bytes:
    """The JPEG that a camera sends when it has no picture."""
    image = Image.new("RGB", (640, 360), (70, 74, 78))
    pen = ImageDraw.Draw(image)
    pen.rectangle((220, 130, 420, 230), outline=(180, 180, 180), width=6)
    pen.line((220, 230, 420, 130), fill=(180, 180, 180), width=6)
    pen.text((254, 250), "Image momentanement indisponible", fill=(220, 220, 220))
    return _encode(image)


def stream_huge_body() -> Iterator[bytes]:
    """`HUGE_BYTES` that begin as a JPEG does, a chunk at a time."""
    yield b"\xff\xd8\xff\xe0".ljust(CHUNK_BYTES, b"\0")
    filler = bytes(CHUNK_BYTES)
    for _ in range(HUGE_BYTES // CHUNK_BYTES - 1):
        yield filler


@functools.cache
def build_png_bomb() -> bytes:
    """A valid grey PNG, all black, of about 110 KB for 30,000 x 30,000 pixels of one bit."""
    row = bytes(1 + BOMB_SIDE_PX // 8)  # filter 0, then eight pixels a byte
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(row * 1000) for _ in range(BOMB_SIDE_PX // 1000))
    header = struct.pack(">IIBBBBB", BOMB_SIDE_PX, BOMB_SIDE_PX, 1, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", packed + packer.flush()), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


@functools.cache
def build_jpeg_bomb() -> bytes:
    """A small JPEG whose frame header declares 65,500 x 65,500 pixels."""
    jpeg = _encode(Image.new("L", (64, 64), 90))
    frame = jpeg.index(b"\xff\xc0")  # marker, length (2), precision (1), height (2), width (2)
    return jpeg[: frame + 5] + struct.pack(">HH", 65_500, 65_500) + jpeg[frame + 9 :]


def _encode(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=85)
    return file.getvalue()
