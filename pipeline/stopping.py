"""Being told to stop, by Ctrl-C or a request to terminate."""

from __future__ import annotations

import _thread
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def stop_asked() -> Iterator[threading.Event]:
    """An event that is set when that happens. For the main thread."""
    stop = threading.Event()

    def tell(number: int, frame: FrameType | None) -> None:
        # By a thread: the main one may be about to wait, with the event's lock in its hands.
        _thread.start_new_thread(stop.set, ())

    before = {number: signal.signal(number, tell) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
