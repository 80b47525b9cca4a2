"""How a service declares what it does with a message: message in, domain function called."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pipeline.messages import Message

ContextT = TypeVar("ContextT")
MessageT = TypeVar("MessageT", bound=Message)


@dataclass(frozen=True)
class Handler(Generic[ContextT]):
    message: type[Message]
    run: Callable[[ContextT, Any], None]


class Handlers(Generic[ContextT]):
    """The handlers of one service, by message."""

    def __init__(self) -> None:
        self.all: list[Handler[ContextT]] = []

    def on(
        self, message: type[MessageT]
    ) -> Callable[[Callable[[ContextT, MessageT], None]], Callable[[ContextT, MessageT], None]]:
        def register(
            run: Callable[[ContextT, MessageT], None],
        ) -> Callable[[ContextT, MessageT], None]:
            self.all.append(Handler(message, run))
            return run

        return register


class PerProcess(Generic[ContextT]):
    """Builds a context once per process, at its first use: after a worker's fork, not before."""

    def __init__(self, build: Callable[[], ContextT]) -> None:
        self._build = build
        self._lock = threading.Lock()
        self._built: tuple[int, ContextT] | None = None

    def get(self) -> ContextT:
        with self._lock:
            if self._built is None or self._built[0] != os.getpid():
                self._built = (os.getpid(), self._build())
            return self._built[1]
