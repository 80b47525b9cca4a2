"""Names of objects in the store, one function per prefix. The first segment is the bucket."""

from __future__ import annotations

import re
from datetime import UTC, datetime

FRAMES = "raw/frames/"
DROPPED = "raw/dropped/"
IMAGES = "images/"
DETECTIONS = "detections/"
SOURCES = "sources/"
TOMBSTONES = "tombstones/"
ANNOTATIONS = "annotations/"

_IMAGE_ID = re.compile(
    r"(?P<source>[a-z0-9]+(?:-[a-z0-9]+)*)-(?P<time>\d{8}T\d{6}Z)-(?P<sha>[0-9a-f]{8})"
)
_REVISION = re.compile(r"[0-9A-Za-z]+(?:-[0-9A-Za-z]+)*")


def image_id(source: str, captured_at: datetime, sha256: str) -> str:
    """`<source>-<UTC time>-<first 8 of SHA-256>`, for example cwl7033-20261121T091640Z-8be14bda."""
    return f"{source}-{captured_at.astimezone(UTC):%Y%m%dT%H%M%SZ}-{sha256[:8]}"


def is_image_id(text: str) -> bool:
    return _IMAGE_ID.fullmatch(text) is not None


def captured_at(image: str) -> datetime:
    """The time in an image's id; ValueError when it is not an image's id."""
    return datetime.strptime(_parts(image)["time"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def source_of(image: str) -> str:
    """The source in an image's id; ValueError when it is not an image's id."""
    return _parts(image)["source"]


def day_of(image: str) -> str:
    """The day in an image's id, as in its keys; ValueError when it is not an image's id."""
    time = _parts(image)["time"]
    return f"{time[:4]}-{time[4:6]}-{time[6:8]}"


def frame(image: str) -> str:
    return f"{FRAMES}{_folder(image)}/{image}"


def frame_mark(image: str) -> str:
    return f"{frame(image)}.json"


def dropped(image: str) -> str:
    return f"{DROPPED}{_folder(image)}/{image}"


def dropped_mark(image: str) -> str:
    return f"{dropped(image)}.json"


def stored_image(image: str) -> str:
    return f"{IMAGES}{_folder(image)}/{image}.jpg"


def detections(image: str) -> str:
    return f"{DETECTIONS}{_folder(image)}/{image}.json"


def source(source_id: str) -> str:
    return f"{SOURCES}{source_id}.json"


def tombstone(image: str) -> str:
    return f"{TOMBSTONES}{image}.json"


def annotations_folder(image: str) -> str:
    """The folder of all that people said of an image. ValueError when it is not an image's id."""
    _parts(image)
    return f"{ANNOTATIONS}{image}/"


def annotation(image: str, revision: str) -> str:
    """ValueError when the revision would not stay in the folder."""
    if _REVISION.fullmatch(revision) is None:
        raise ValueError(f"not a revision: {revision!r}")
    return f"{annotations_folder(image)}{revision}.json"


def revision_of(key: str) -> str:
    """The revision in an annotation's key."""
    return key.rsplit("/", 1)[-1].removesuffix(".json")


def image_of(key: str) -> str:
    """The image's id in any key of this module that has one."""
    if key.startswith(ANNOTATIONS):
        return key.split("/")[1]
    return key.rsplit("/", 1)[-1].split(".", 1)[0]


def every_object(image: str) -> tuple[str, ...]:
    """All keys an image can have but its tombstone and below `annotations_folder()`; marks first:
    none outlives its bytes."""
    return (
        detections(image),
        stored_image(image),
        frame_mark(image),
        frame(image),
        dropped_mark(image),
        dropped(image),
    )


def _parts(image: str) -> dict[str, str]:
    match = _IMAGE_ID.fullmatch(image)
    if match is None:
        raise ValueError(f"not an image's id: {image!r}")
    return match.groupdict()


def _folder(image: str) -> str:
    return f"{source_of(image)}/{day_of(image)}"
