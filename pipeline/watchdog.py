"""A service's first process: it runs the worker as its child, and ends it when it stands still.

It imports next to nothing, and forks before anything else is imported.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import NoReturn

from pipeline.errors import UserError
from pipeline.vitals import Vitals

FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
STOOD_STILL = os.EX_SOFTWARE  # the exit status after a worker was ended


@dataclass(frozen=True)
class Limits:
    """`task_s` is well above a task's own deadline: a thread cannot be interrupted."""

    stale_s: float = 60.0
    task_s: float = 90.0
    look_every_s: float = 1.0
    frozen_s: float = 5.0


def watch(work: Callable[[Vitals], None], limits: Limits | None = None) -> NoReturn:
    """Run `work` in a child under watch; ends with the child's status, or STOOD_STILL."""
    watchdog = Watchdog(Vitals(), limits or Limits(), health_file())
    signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED)  # until both sides are ready for them
    parent, child = os.getpid(), os.fork()
    if child:
        sys.exit(watchdog.keep(child))
    die_with_parent(parent)
    os.setpgid(0, 0)  # a terminal's Ctrl-C reaches the watchdog alone, which passes it on once
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until the worker has its own way to stop
    signal.pthread_sigmask(signal.SIG_UNBLOCK, FORWARDED)
    _work(work, watchdog.vitals)


def _work(work: Callable[[Vitals], None], vitals: Vitals) -> NoReturn:
    try:
        work(vitals)
    except UserError as error:
        _log("cannot start", reason=str(error))
        sys.exit(os.EX_CONFIG)
    sys.exit(0)


class Watchdog:
    """Judges a worker by its vitals."""

    def __init__(self, vitals: Vitals, limits: Limits, health: Path | None = None) -> None:
        self.vitals = vitals
        self._limits = limits
        self._health = health
        self._fresh_at = self._looked_at = vitals.clock()

    def keep(self, child: int) -> int:
        """Look after a child until it has ended; gives the status to end with."""
        woken = _pass_signals_on(child)
        while (status := _status_of(child)) is None:
            why = self.complaint()
            if why is not None:
                _log("worker stands still and is ended", reason=why, pid=child)
                _end(child)
                return STOOD_STILL
            self._tell_health()
            if select.select([woken], [], [], self._limits.look_every_s)[0]:
                os.read(woken, 4096)  # else every later look would come at once
        _end(child)  # what it may have left: its beat
        return status

    def complaint(self) -> str | None:
        """What stands still, and for how long. None while all is well."""
        now = self.vitals.clock()
        if now - self._looked_at > self._limits.frozen_s:
            self._fresh_at = now  # frozen itself, and the child with it most likely
        self._looked_at = now
        return (
            self._overdue(now, "heartbeat", self.vitals.pulse_at, self._limits.stale_s)
            or self._overdue(now, "beat", self.vitals.beat_at, self._limits.stale_s)
            or self._overdue(now, "task in hand", self.vitals.oldest_task_at, self._limits.task_s)
        )

    def _overdue(self, now: float, what: str, at: float, limit_s: float) -> str | None:
        waited_s = now - max(at, self._fresh_at)
        return f"{what}: {waited_s:.0f} s" if at and waited_s > limit_s else None

    def _tell_health(self) -> None:
        if self._health is not None and self.vitals.is_ready:
            with suppress(OSError):  # a full disk is no reason to end a worker
                self._health.touch()


def health_file() -> Path | None:
    """`PIPELINE_HEALTH_FILE`: its age says how long ago all was well."""
    name = os.environ.get("PIPELINE_HEALTH_FILE")
    return Path(name) if name else None


def die_with_parent(parent: int) -> None:
    """Be killed when the parent ends, however it ends. Linux has it; elsewhere nothing happens."""
    if sys.platform == "linux":
        import ctypes

        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def _pass_signals_on(child: int) -> int:
    """Gives a descriptor that becomes readable with every signal, the child's end among them."""
    woken, wake = os.pipe()
    for end in (woken, wake):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)

    def pass_on(number: int, frame: FrameType | None) -> None:
        with suppress(ProcessLookupError):
            os.kill(child, number)

    for number in FORWARDED:
        signal.signal(number, pass_on)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, FORWARDED)
    return woken


def _status_of(child: int) -> int | None:
    """None while it runs; 128 and the signal's number where one ended it, as a shell has it."""
    ended, status = os.waitpid(child, os.WNOHANG)
    if ended == 0:
        return None
    code = os.waitstatus_to_exitcode(status)
    if code < 0 and -code not in FORWARDED:
        _log("worker was killed", signal=signal.Signals(-code).name, pid=child)
    return code if code >= 0 else 128 - code


def _end(child: int) -> None:
    """Kill it with everything in its process group, stopped or not."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)


def _log(event: str, **fields: object) -> None:
    """A line as pipeline.logs writes them, which takes 20 MB to import."""
    line = {
        "event": event,
        **fields,
        "level": "error",
        "logger": __name__,
        "timestamp": datetime.now(UTC).isoformat(),
    }
    sys.stderr.write(json.dumps(line) + "\n")
    sys.stderr.flush()
