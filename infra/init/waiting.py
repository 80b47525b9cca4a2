"""Logging in to a server that may still be starting, with a password that may be changing."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from infra.init.report import Report
from pipeline.errors import TransientError, UserError

SessionT = TypeVar("SessionT")
EVERY_S = 0.5
SAID_EVERY_S = 30.0


@dataclass(frozen=True)
class Server(Generic[SessionT]):
    """`connect` gives None when the server refuses the password, and raises TransientError while
    it does not answer. `advice` is for one that refuses every password there is."""

    name: str
    where: str
    connect: Callable[[str], SessionT | None]
    advice: str


@dataclass(frozen=True)
class Login(Generic[SessionT]):
    session: SessionT
    password: str


class Patience:
    """How long a command waits, for all servers together."""

    def __init__(self, wait_s: float, report: Report) -> None:
        self._ends_at = time.monotonic() + wait_s
        self._report = report
        self.wait_s = wait_s

    def log_in(
        self, server: Server[SessionT], candidates: Callable[[], Sequence[str]]
    ) -> Login[SessionT]:
        """UserError when the server refuses, or does not answer in time."""
        said_at = None
        while True:
            try:
                return _try_all(server, candidates())
            except TransientError as error:
                now = time.monotonic()
                if now > self._ends_at:
                    raise UserError(
                        f"the {server.name} at {server.where} did not answer within "
                        f"{self.wait_s:.0f} s: {error}"
                    ) from error
                if said_at is None or now - said_at >= SAID_EVERY_S:
                    self._report.say(f"waiting for the {server.name} at {server.where}")
                    said_at = now
            time.sleep(EVERY_S)


def _try_all(server: Server[SessionT], candidates: Sequence[str]) -> Login[SessionT]:
    for password in candidates:
        session = server.connect(password)
        if session is not None:
            return Login(session, password)
    raise UserError(
        f"the {server.name} at {server.where} refuses the password of init; {server.advice}"
    )
