"""A bounded look at untrusted bytes with Pillow: the header first, then one reduced grey decode.

The reduced picture serves the perceptual hash, the thumbnail and the conditions alike. Imports
Pillow and no NumPy: labeling looks at bytes too.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from io import BytesIO

from PIL import ExifTags, Image, ImageFile, ImageStat
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from pipeline.errors import UnreadableImage
from pipeline.records import Conditions, Outcome

# Smaller than this, and the reduced decode's perceptual hash leaves imagehash's by 4 bits.
REDUCED_SIZE = (240, 135)
TAIL_BYTES = 4096  # cameras append a few bytes to their JPEGs
MAX_SCANS = 64  # a progressive JPEG has about 10; each costs a pass over all its pixels

JPEG_END, JPEG_SCAN = b"\xff\xd9", b"\xff\xda"

# What Pillow raises for bytes that are not what their header says.
_MALFORMED = (OSError, SyntaxError, ValueError, EOFError, IndexError, OverflowError, Warning)


@dataclass(frozen=True)
class DecodeLimits:
    """Sides and pixels of an image that may be decoded."""

    min_side: int = 64
    max_pixels: int = 40_000_000


_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_TURNED = frozenset({5, 6, 7, 8})


@dataclass(frozen=True)
class Header:
    """What an image says of itself, its orientation applied; `truncated` without its end."""

    format: str  # JPEG, PNG or WEBP
    width: int
    height: int
    content_type: str
    truncated: bool


def read_header(data: bytes, limits: DecodeLimits) -> Header:
    """The header of a JPEG, PNG or WebP; decodes no pixel.

    Raises UnreadableImage: NOT_AN_IMAGE, TOO_SMALL, TOO_MANY_PIXELS, or TRUNCATED for a WebP.
    """
    image = _open(data)
    width, height = image.size
    name = image.format or ""
    if min(width, height) < limits.min_side:
        raise UnreadableImage(Outcome.TOO_SMALL, f"{width} x {height} pixels: too small")
    if width * height > limits.max_pixels:
        raise UnreadableImage(Outcome.TOO_MANY_PIXELS, f"{width} x {height} pixels: too many")
    if name == "JPEG" and (scans := data.count(JPEG_SCAN)) > MAX_SCANS:
        raise UnreadableImage(Outcome.TOO_MANY_PIXELS, f"a JPEG of {scans} scans: a trap")
    if _orientation(image) in _TURNED:
        width, height = height, width
    return Header(
        format=name,
        width=width,
        height=height,
        content_type=f"image/{name.lower()}",
        truncated=_is_truncated(data, name),
    )


def reduced_grey(data: bytes, header: Header) -> Image.Image:
    """The picture in grey (mode L), reduced to no less than REDUCED_SIZE where it is larger.

    A JPEG is decoded at 1/2, 1/4 or 1/8. Raises UnreadableImage: TRUNCATED or NOT_AN_IMAGE.
    """
    try:
        # An end where there is none: Pillow then gives the pixels it has.
        image = _open(data + JPEG_END if header.format == "JPEG" else data)
        image.draft("L", REDUCED_SIZE)
        grey = _turn(_to_grey(image), _orientation(image))
    except _MALFORMED as error:
        outcome = Outcome.TRUNCATED if header.truncated else Outcome.NOT_AN_IMAGE
        raise UnreadableImage(outcome, f"a {header.format} that cannot be decoded") from error
    factor = min(grey.width // REDUCED_SIZE[0], grey.height // REDUCED_SIZE[1])
    return grey.reduce(factor) if factor > 1 else grey


def _orientation(image: Image.Image) -> int:
    """EXIF's orientation, 1 to 8; 1 where there is none that can be read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a broken EXIF segment is no reason to refuse a picture
        try:
            found = image.getexif().get(ExifTags.Base.Orientation, 1)
        except (*_MALFORMED, KeyError, TypeError):
            return 1
    return found if isinstance(found, int) else 1


def _turn(grey: Image.Image, orientation: int) -> Image.Image:
    turn = _TURNS.get(orientation)
    return grey if turn is None else grey.transpose(turn)


def _to_grey(image: Image.Image) -> Image.Image:
    if image.mode == "P":  # with transparency it has no way to grey but this
        return image.convert("RGBA").convert("L")
    if image.mode.startswith("I"):  # 16 bits, which convert() would clip
        return image.convert("I").point(lambda level: level * (1 / 256)).convert("L")
    return image.convert("L")


def measure_conditions(grey: Image.Image) -> Conditions:
    """Mean and standard deviation of the grey levels."""
    levels = ImageStat.Stat(grey)
    return Conditions(brightness=round(levels.mean[0], 2), contrast=round(levels.stddev[0], 2))


def _open(data: bytes) -> ImageFile.ImageFile:
    """Pillow's image of one of three formats, its header read; UnreadableImage otherwise.

    Not Image.open, whose guard against bombs warns or raises before we can say what it saw.
    """
    kind = _sniff(data)
    if kind is None:
        raise UnreadableImage(Outcome.NOT_AN_IMAGE, describe_bytes(data))
    try:
        return kind(BytesIO(data))
    except Image.DecompressionBombError as error:  # its WebP plugin has a guard of its own
        raise UnreadableImage(Outcome.TOO_MANY_PIXELS, "too many pixels") from error
    except _MALFORMED as error:
        # Pillow reads nothing of a WebP that is not whole.
        cut = kind is WebPImageFile and _is_truncated(data, "WEBP")
        outcome = Outcome.TRUNCATED if cut else Outcome.NOT_AN_IMAGE
        raise UnreadableImage(outcome, f"a broken or incomplete {kind.format}") from error


def _sniff(data: bytes) -> type[ImageFile.ImageFile] | None:
    if data.startswith(b"\xff\xd8"):
        return JpegImageFile
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return PngImageFile
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return WebPImageFile
    return None


def describe_bytes(data: bytes) -> str:
    """What bytes that are no image we read look like, for a person."""
    start = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not start:
        return "empty"
    if start.startswith((b"<!doctype html", b"<html")):
        return "an HTML page"
    if b"<svg" in start:
        return "an SVG drawing"
    if start.startswith(b"<"):
        return "XML"
    if start.startswith((b"{", b"[")):
        return "JSON"
    if data[4:8] == b"ftyp":
        return "an AVIF or HEIC image" if data[8:11] in (b"avi", b"hei", b"mif") else "an MP4 video"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "a GIF"
    return "neither JPEG, PNG nor WebP"


def _is_truncated(data: bytes, name: str) -> bool:
    if name == "WEBP":
        return len(data) < int.from_bytes(data[4:8], "little") + 8
    return (JPEG_END if name == "JPEG" else b"IEND") not in data[-TAIL_BYTES:]
