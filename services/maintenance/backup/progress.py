"""What a backup tells the person who waits for it, on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable


def say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


class Meter:
    """Says every ten seconds how far it is; called with objects and bytes so far."""

    def __init__(
        self, verb: str, every_s: float = 10, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._verb, self._every_s, self._clock = verb, every_s, clock
        self._said_at = clock()
        self._so_far = (0, 0)

    def __call__(self, objects: int, size: int) -> None:
        self._so_far = (objects, size)
        if self._clock() - self._said_at >= self._every_s:
            self._said_at = self._clock()
            self.say()

    def say(self) -> None:
        objects, size = self._so_far
        say(f"  {objects:,} objects, {size / 1e6:,.1f} MB {self._verb}")
