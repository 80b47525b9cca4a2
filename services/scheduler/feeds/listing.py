"""Reading a feed's list, which is untrusted input."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from pipeline.logs import get_logger
from pipeline.records import Camera

MAX_ROWS = 500

log = get_logger(__name__)


def read_document(body: bytes) -> Any:
    """What the JSON holds; ValueError when it is none."""
    try:
        return json.loads(body)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def read_cameras(
    feed: str, rows: Sequence[Any], read: Callable[[Any], Camera | None]
) -> list[Camera]:
    """Cameras of the first rows, where `read` makes one that can be written down again."""
    cameras = {}
    for row in rows[:MAX_ROWS]:
        camera = read(row)
        if camera is None or not _can_be_written(camera):
            log.warning("feed row ignored", feed=feed, row=repr(row)[:200])
        else:
            cameras[camera.id] = camera
    return list(cameras.values())


def _can_be_written(camera: Camera) -> bool:
    """JSON knows no infinity, and UTF-8 no half of a surrogate pair."""
    try:
        record = camera.model_dump(mode="json")
        json.dumps(record, allow_nan=False, ensure_ascii=False).encode()
    except ValueError:
        return False
    return True
