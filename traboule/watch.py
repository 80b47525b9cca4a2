"""Looking on while the pipeline works, until the time is up, all is done, or somebody says stop."""

from __future__ import annotations

import math
import threading
import time

from pipeline.errors import TransientError
from pipeline.logs import get_logger
from pipeline.records import ImageState
from traboule.live import Display, Phase
from traboule.progress import Meter, Progress

LOOK_EVERY_S = 0.4
DRAIN_FOR_S = 10.0

log = get_logger(__name__)


class Watch:
    """Looks at the run every so often, and shows what it sees."""

    def __init__(self, meter: Meter, display: Display) -> None:
        self._meter, self.display = meter, display
        self._pause_s = LOOK_EVERY_S

    def until_time_is_up(self, stop: threading.Event, for_s: float | None) -> None:
        began = time.monotonic()
        ends_at = began + (math.inf if for_s is None else for_s)
        while self._pause(stop, ends_at):
            past_s = time.monotonic() - began
            if for_s is None:
                self.look(Phase(f"{_clock(past_s)}, until Ctrl-C"))
            elif past_s < for_s:
                self.look(Phase(f"{_clock(for_s - past_s)} left", past_s / for_s))

    def until_idle(self, stop: threading.Event) -> None:
        """Until no poll is under way and no image waits for detection; ten seconds at most."""
        ends_at = time.monotonic() + DRAIN_FOR_S
        while True:
            progress = self.look(Phase("finishing what is under way …"))
            is_idle = progress is not None and not progress.under_way
            if is_idle or not self._pause(stop, ends_at):
                return

    def until_detected(self, stop: threading.Event, number: int, timeout_s: float) -> None:
        """Until there are so many detected images, whenever they were detected."""
        ends_at = time.monotonic() + timeout_s
        while True:
            progress = self._read()
            if progress is not None:
                detected = progress.states.get(ImageState.DETECTED, 0)
                if detected >= number:
                    return
                words = f"{detected} of {number} images detected"
                self.display.show(progress, Phase(words, detected / number))
            if not self._pause(stop, ends_at):
                return

    def look(self, phase: Phase) -> Progress | None:
        progress = self._read()
        if progress is not None:
            self.display.show(progress, phase)
        return progress

    def _pause(self, stop: threading.Event, ends_at: float) -> bool:
        """Whether there is a reason to look again: time was left, and nobody said stop."""
        left_s = ends_at - time.monotonic()
        return left_s > 0 and not stop.wait(min(self._pause_s, left_s))

    def _read(self) -> Progress | None:
        """The longer the catalog takes, the more seldom it is asked."""
        began = time.monotonic()
        try:
            progress = self._meter.read()
        except TransientError as error:
            log.warning("progress not read", reason=str(error))
            return None
        self._pause_s = max(LOOK_EVERY_S, 10 * (time.monotonic() - began))
        return progress


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
