"""What the pipeline keeps, as frozen pydantic models: they are read back from JSON years later.

Times are timezone-aware UTC; boxes are in pixels of the image as stored.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

SourceId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=64)]


class Record(BaseModel):
    """Unknown fields are ignored: an object written by a newer version must not stop this one."""

    model_config = ConfigDict(frozen=True, extra="ignore")


FACE = "face"
VEHICLES = ("bicycle", "car", "motorcycle", "bus", "truck")


class Policy(StrEnum):
    """What may be kept of people: `anonymise` blurs faces, `keep` leaves the pixels as they are."""

    ANONYMISE = "anonymise"
    KEEP = "keep"


class Outcome(StrEnum):
    """How one poll of a camera ended. Every poll ends in exactly one of these, but the last."""

    KEPT = "kept"
    # Nothing new: counted per hour.
    NOT_MODIFIED = "not-modified"
    SAME_BYTES = "same-bytes"
    # Dropped: listed one by one.
    PLACEHOLDER = "placeholder"
    NOT_AN_IMAGE = "not-an-image"
    TOO_SMALL = "too-small"
    TOO_LARGE = "too-large"
    TOO_MANY_PIXELS = "too-many-pixels"
    TRUNCATED = "truncated"
    NEAR_DUPLICATE = "near-duplicate"
    ERASED = "erased"
    # Failed: the camera is backed off and tried again.
    UNREACHABLE = "unreachable"
    TIMED_OUT = "timed-out"
    HTTP_ERROR = "http-error"
    RATE_LIMITED = "rate-limited"
    FORBIDDEN_ADDRESS = "forbidden-address"
    EXPIRED = "expired"
    NOT_STORED = "not-stored"
    # Not asked at all: there is no room for an answer.
    DISK_LOW = "disk-low"
    # Not of a poll: a frame that was kept, and never detected within its lifetime.
    UNDETECTED = "undetected"


NOTHING_NEW = frozenset({Outcome.NOT_MODIFIED, Outcome.SAME_BYTES})
FAILURES = frozenset(
    {
        Outcome.TOO_LARGE,
        Outcome.UNREACHABLE,
        Outcome.TIMED_OUT,
        Outcome.HTTP_ERROR,
        Outcome.RATE_LIMITED,
        Outcome.FORBIDDEN_ADDRESS,
        Outcome.EXPIRED,
        Outcome.NOT_STORED,
    }
)


class ImageState(StrEnum):
    """Where an image stands on its way."""

    STORING = "storing"
    STORED = "stored"
    AWAITING_MODEL = "awaiting-model"
    DETECTED = "detected"
    QUARANTINED = "quarantined"
    DROPPED = "dropped"  # a near-duplicate whose bytes wait in raw/dropped/
    EXPIRED = "expired"


# What a person means by "the images": neither half-stored nor dropped nor given up.
KEPT_STATES = (
    ImageState.STORED,
    ImageState.AWAITING_MODEL,
    ImageState.DETECTED,
    ImageState.QUARANTINED,
)


class BoundingBox(Record):
    """Corners in pixels of the stored image, x to the right and y down, clipped to it."""

    x1: float
    y1: float
    x2: float
    y2: float


class Detection(Record):
    """One box found by one model."""

    label: str
    score: float = Field(ge=0, le=1)
    box: BoundingBox
    detector: str


class ModelIdentity(Record):
    """Which model spoke: its name, the SHA-256 of its file (None where it needs none), licence."""

    name: str
    sha256: str | None
    licence: str


class Thumbnail(Record):
    """A reduced grey image: width x height bytes, row by row; base64 in JSON."""

    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    width: int
    height: int
    pixels: bytes


class Camera(Record):
    """One source: where its images come from, and what may be done with them."""

    id: SourceId
    url: str
    name: str = ""
    feed: str = "manual"
    every_s: float = Field(default=60.0, gt=0)
    policy: Policy = Policy.ANONYMISE
    licence: str = ""
    attribution: str = ""
    latitude: float | None = None
    longitude: float | None = None
    detectors: tuple[str, ...] = ("yunet", "yolox-nano")
    near_duplicate_distance: int = Field(default=3, ge=-1, le=64)  # -1 keeps every frame
    keep_truncated: bool = False
    placeholder_sha256: tuple[str, ...] = ()
    paused: bool = False


class Conditions(Record):
    """What is known of the light: mean brightness and contrast (standard deviation), 0 to 255."""

    brightness: float
    contrast: float


class Provenance(Record):
    """Everything known of an image when it was received; the commit mark beside its bytes."""

    id: str
    source: SourceId
    captured_at: datetime
    url: str
    licence: str
    attribution: str
    policy: Policy
    detectors: tuple[str, ...]
    sha256_received: str
    bytes_received: int
    content_type: str
    width: int
    height: int
    phash: str  # 16 hex digits, imagehash's phash
    conditions: Conditions
    truncated: bool = False
    resembles: str | None = None  # for a near-duplicate: the kept image it resembled
    reason: str = ""
    thumbnail: Thumbnail
    previous_thumbnail: Thumbnail | None = None
    headers: dict[str, str] = Field(default_factory=dict)


class Detections(Record):
    """What was found in an image; the commit mark of a stored image. Embeds its provenance."""

    provenance: Provenance
    detections: tuple[Detection, ...]
    models: tuple[ModelIdentity, ...]
    detected_at: datetime
    sha256_stored: str
    bytes_stored: int
    width: int
    height: int
    blurred: int  # how many regions were blurred
    blurred_boxes: tuple[BoundingBox, ...] = ()  # where, without padding
    rounds: int  # how many rounds of blurring it took

    def count(self, *labels: str) -> int:
        """How many detections carry one of `labels`."""
        return sum(detection.label in labels for detection in self.detections)


class Tombstone(Record):
    """An erased image: its bytes must not come back."""

    id: str
    source: SourceId
    sha256_received: str
    erased_at: datetime
    reason: str = ""
