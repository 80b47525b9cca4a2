"""The log of what was carried out: a line when a task about an image or camera begins and ends."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pipeline.logs import get_logger

log = get_logger(__name__)


def subject_of(message: Mapping[str, Any]) -> dict[str, str]:
    """The image or camera a message is about, for every line logged meanwhile."""
    about = {name: message[name] for name in ("image", "camera") if name in message}
    return {name: one if isinstance(one, str) else one["id"] for name, one in about.items()}


@contextmanager
def recorded(request: Any, message: Mapping[str, Any]) -> Iterator[None]:
    """A line without its second: the process was killed in between. Ticks and sweeps have none."""
    if not subject_of(message):
        yield
        return
    redelivered = bool((request.delivery_info or {}).get("redelivered"))
    log.info("task begins", redelivered=redelivered, retries=request.retries)
    began, outcome, reason = time.monotonic(), "done", ""
    try:
        yield
    except BaseException as error:
        outcome, reason = type(error).__name__, str(error)
        raise
    finally:
        took_s = round(time.monotonic() - began, 3)
        log.info("task ends", outcome=outcome, reason=reason, took_s=took_s)
