"""Making things happen to containers: killed by the kernel, frozen in mid-task, cut off."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from signal import SIGKILL
from typing import Any

import pytest
from docker.errors import APIError  # type: ignore[import-untyped]

from tests.e2e.execution import DETECT, POLL, Line, ends_of, in_hand, read_lines
from tests.e2e.stack import Stack
from tests.waiting import wait_until

TRIES = 80
LOGGED_WITHIN_S = 0.1  # from a write in a container to the engine's log
FROZEN_WITHIN_S = 20.0
BACK_WITHIN_S = 240.0
ENDED_WITHIN_S = 240.0
TASKS = {"capture": POLL, "detection": DETECT}


def send_signal(pid: int, number: int) -> None:
    """From outside of the container: the engine's own kill switches the restart policy off."""
    try:
        os.kill(pid, number)
    except PermissionError:
        pytest.skip("killing a container's process from outside needs root")


def kill(container: Any, then: Callable[[], object] = lambda: None) -> str:
    """kill -9 of everything in it; gives how the engine tells it, once it is back and healthy.

    `then` is called when it is dead.
    """
    before = restarts(container)
    exited_with = _die(container, int(container.attrs["State"]["Pid"]))
    then()
    wait_until_back(container, before)
    return f"exit {exited_with}, restarts {before}→{restarts(container)}"


def _die(container: Any, pid: int) -> int:
    events = container.client.api.events(
        since=int(time.time()),  # it may answer before it has begun to listen
        filters={"container": container.id, "event": "die"},
        decode=True,
    )
    with closing_stream(events):
        send_signal(pid, SIGKILL)
        with suppress(APIError):  # it is no longer frozen, or was not
            container.unpause()
        code = int(next(events)["Actor"]["Attributes"]["exitCode"])
    assert code == 128 + SIGKILL
    return code


@contextmanager
def closing_stream(stream: Any) -> Iterator[None]:
    try:
        yield
    finally:
        stream.close()


def kill_with_task_in_hand(stack: Stack, service: str) -> str:
    """Frozen first, to see that a task is in hand."""
    container = stack.container(service)
    with frozen_with_task_in_hand(service, container) as hand:
        return f"{len(hand)} in hand, {kill(container)}"


@contextmanager
def frozen_with_task_in_hand(
    service: str, container: Any, also: Callable[[list[Line]], bool] = bool
) -> Iterator[list[Line]]:
    """The first lines of the tasks in hand; `also` says whether they will do."""
    hand = _freeze_with_task_in_hand(service, container, also)
    try:
        yield hand
    finally:
        with suppress(APIError):  # it goes on already
            container.unpause()


def describe_ends(service: str, container: Any, hand: Iterable[Line]) -> str:
    """Waits until what was in hand has ended: how often with which outcome."""
    wanted = {line.get("task_id") for line in hand}

    def ends() -> dict[str, str]:
        return ends_of(hand, read_lines(service, container))

    wait_until(lambda: wanted <= set(ends()), ENDED_WITHIN_S, f"{wanted} end")
    return ", ".join(f"{count} {outcome}" for outcome, count in Counter(ends().values()).items())


def _freeze_with_task_in_hand(
    service: str, container: Any, also: Callable[[list[Line]], bool]
) -> list[Line]:
    for _ in range(TRIES):
        freeze(container)
        time.sleep(LOGGED_WITHIN_S)
        hand = in_hand(read_lines(service, container), TASKS[service])
        if hand and also(hand):
            return hand
        container.unpause()
        time.sleep(random.uniform(0.05, 0.3))
    raise AssertionError(f"{service} never had a task in hand")


def freeze(container: Any) -> None:
    """Tried again where the kernel cannot: a health check begins or ends just then."""

    def is_frozen() -> bool:
        with suppress(APIError):
            container.pause()
        return health(container) == "paused"

    wait_until(is_frozen, FROZEN_WITHIN_S, "it is frozen")


def restarts(container: Any) -> int:
    container.reload()
    return int(container.attrs["RestartCount"])


def health(container: Any) -> str:
    container.reload()
    state = container.attrs["State"]
    if not state["Running"] or state["Paused"]:
        return str(state["Status"])
    return str(state.get("Health", {}).get("Status", "running"))


def wait_until_back(container: Any, restarts_before: int) -> None:
    wait_until(lambda: restarts(container) > restarts_before, BACK_WITHIN_S, "it is started again")
    wait_until_healthy(container)


def wait_until_healthy(container: Any) -> None:
    wait_until(lambda: health(container) == "healthy", BACK_WITHIN_S, "it is healthy again")


def worker_of(container: Any) -> int:
    """The process that does the work: the watchdog's only child, as this machine numbers it."""
    pids = [int(process[1]) for process in container.top()["Processes"]]
    parents = {pid: _parent_of(pid) for pid in pids}
    children = [pid for pid, parent in parents.items() if parent in parents]
    workers = [pid for pid in children if parents[parents[pid]] in parents]
    assert workers, f"no watchdog with a worker in {container.name}"
    return min(workers)


def _parent_of(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("PPid:"):
            return int(line.split()[1])
    raise AssertionError(f"no parent of {pid}")
