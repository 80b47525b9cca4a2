"""Sending and following, again and again, in a process that does nothing else."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from pipeline.errors import TransientError
from pipeline.logs import get_logger
from services.labeling.context import LabelingContext
from services.labeling.receiving.comparing import compare_when_due
from services.labeling.receiving.following import follow
from services.labeling.sending.considering import catch_up
from services.labeling.sending.pushing import push_waiting
from services.labeling.studio.connection import Connected
from services.labeling.studio.deadlines import GRACE_S, ending_by
from services.labeling.tasks import FOLLOWING, SENDING
from traboule.printing import count

PAUSE_S = 5.0
LOOK_EVERY_S = 0.2

log = get_logger(__name__)


class Rounds:
    def __init__(self, context: LabelingContext, tell: Callable[[str], None]) -> None:
        self._context = context
        self._tell = tell
        self._trouble = ""

    def go_on(self, stop: threading.Event, news: threading.Event) -> None:
        """Until `stop`; `news` ends the pause between two rounds."""
        try:
            while not stop.is_set():
                self._note_trouble(self._go_round())
                self._pause(stop, news)
        finally:
            self._context.connection.close()

    def _go_round(self) -> str:
        """Why it came to nothing, if it did."""
        connection = self._context.connection
        try:
            for kind, work in ((SENDING, self._send), (FOLLOWING, self._follow)):
                ends_at = time.monotonic() + self._context.settings.run_s
                with ending_by(ends_at + GRACE_S), connection.session(kind) as connected:
                    if connected is not None:
                        work(connected, ends_at)
        except TransientError as error:
            log.warning("a round failed", reason=str(error))
            return str(error)
        return connection.reason

    def _send(self, connected: Connected, ends_at: float) -> None:
        while catch_up(self._context, connected.key, ends_at) and time.monotonic() < ends_at:
            pass
        if sent := push_waiting(self._context, connected, ends_at):
            self._tell(f"sent {count(sent, 'image')}")

    def _follow(self, connected: Connected, ends_at: float) -> None:
        followed = follow(self._context, connected, ends_at)
        if followed.revisions:
            self._tell(f"received {count(followed.revisions, 'annotation')}")
        compare_when_due(self._context, connected, ends_at)

    def _note_trouble(self, reason: str) -> None:
        if reason != self._trouble:
            self._tell(f"Label Studio fails: {reason}" if reason else "Label Studio answers again")
        self._trouble = reason

    def _pause(self, stop: threading.Event, news: threading.Event) -> None:
        ends_at = time.monotonic() + PAUSE_S
        while time.monotonic() < ends_at and not stop.wait(LOOK_EVERY_S):
            if news.is_set():
                news.clear()
                return
