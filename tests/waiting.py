"""Waiting for what a thread, a process or a container does in its own time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Holds = TypeVar("Holds")


def wait_until(condition: Callable[[], Holds], within_s: float = 60.0, what: str = "it") -> Holds:
    """Gives what held at last. A fifth of the time at most is spent looking."""
    began_s = time.monotonic()
    while True:
        looked_s = time.monotonic()
        if holds := condition():
            return holds
        now_s = time.monotonic()
        assert now_s - began_s < within_s, f"not within {within_s:.0f} s: {what}"
        time.sleep(max(0.02, 4 * (now_s - looked_s)))
