"""A worker's signs of life, in memory that it shares with its watchdog and its beat."""

from __future__ import annotations

import mmap
import threading
import time
from collections.abc import Callable

_PULSE, _BEAT, _TASK, _READY = range(4)


class Vitals:
    """Times by the monotonic clock, which all processes of a machine read alike; 0 is never.

    Seen by processes forked after it was made.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._times = memoryview(mmap.mmap(-1, 8 * 4)).cast("d")
        self._in_hand: dict[str, float] = {}
        self._lock = threading.Lock()
        self.touch()

    def touch(self) -> None:
        """Something was done just now."""
        self._times[_PULSE] = self.clock()

    def touch_as_ready(self) -> None:
        """A message went through the broker and the pool."""
        self._times[_READY] = self.clock()
        self.touch()

    def touch_beat(self) -> None:
        self._times[_BEAT] = self.clock()

    def excuse(self) -> None:
        """What stands still does so for no fault of this process."""
        self.touch()
        if self._times[_BEAT]:
            self.touch_beat()

    def take_in_hand(self, hand: str) -> None:
        with self._lock:
            self._in_hand[hand] = self.clock()
            self._note_oldest()

    def put_down(self, hand: str) -> None:
        """A task that ends is a sign of life as good as any."""
        with self._lock:
            self._in_hand.pop(hand, None)
            self._note_oldest()
        self.touch()

    @property
    def pulse_at(self) -> float:
        return self._times[_PULSE]

    @property
    def beat_at(self) -> float:
        """0 where no beat runs."""
        return self._times[_BEAT]

    @property
    def oldest_task_at(self) -> float:
        """0 when none is in hand."""
        return self._times[_TASK]

    @property
    def is_ready(self) -> bool:
        return self._times[_READY] > 0

    def _note_oldest(self) -> None:
        self._times[_TASK] = min(self._in_hand.values(), default=0.0)
