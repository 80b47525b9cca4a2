"""When a camera is due: on its own phase of its interval, later while it fails."""

from __future__ import annotations

import hashlib
import math
import random
from datetime import UTC, datetime, timedelta

from pipeline.records import Camera

LONGEST_BACKOFF_S = 900.0
FIRST_POLL_WITHIN_S = 15.0


def utc_now() -> datetime:
    return datetime.now(UTC)


def first_due(camera: Camera, now: datetime) -> datetime:
    """Soon, but not all cameras at once."""
    return now + timedelta(seconds=_share(camera.id) * min(camera.every_s, FIRST_POLL_WITHIN_S))


def next_due(camera: Camera, now: datetime) -> datetime:
    """The camera's next turn, at least half an interval away.

    Turns lie on a grid of the camera's interval whose phase is drawn from its id, so that cameras
    added together drift apart.
    """
    phase_s = _share(camera.id) * camera.every_s
    earliest_s = now.timestamp() + camera.every_s / 2
    turn = math.ceil((earliest_s - phase_s) / camera.every_s)
    return datetime.fromtimestamp(turn * camera.every_s + phase_s, UTC)


def due_after_failure(
    camera: Camera, now: datetime, failures: int, retry_after_s: float | None = None
) -> datetime:
    """Doubling with every failure in a row, with jitter; never before the server's Retry-After."""
    longest_s = max(LONGEST_BACKOFF_S, camera.every_s)
    delay_s = min(camera.every_s * 2.0 ** min(failures, 16), longest_s)
    delay_s *= random.uniform(0.9, 1.1)
    return now + timedelta(seconds=max(delay_s, retry_after_s or 0.0))


def _share(camera_id: str) -> float:
    """A number in [0, 1) that is always the same for an id."""
    return int(hashlib.sha256(camera_id.encode()).hexdigest()[:8], 16) / 2**32
