"""What may happen to a worker: killed, hung, stopped, paused, doubled."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from itertools import pairwise
from signal import SIGSTOP
from typing import Any

from redis.exceptions import TimeoutError as RedisTimeout

from pipeline import keys
from pipeline.broker import VISIBILITY_TIMEOUT_S
from pipeline.storage import ObjectStore
from tests.e2e.execution import DETECT, POLL, Line, read_lines
from tests.e2e.fault import Scene
from tests.e2e.happening import (
    describe_ends,
    freeze,
    frozen_with_task_in_hand,
    kill,
    kill_with_task_in_hand,
    restarts,
    send_signal,
    wait_until_healthy,
    worker_of,
)
from tests.waiting import wait_until

MET_WITHIN_S = 240.0
ENDED_WITHIN_S = 300.0  # a task in hand may take 90 s
REDELIVERED_WITHIN_S = VISIBILITY_TIMEOUT_S + 180
STOPPED_WITHIN_S = 45
WATCHED_S, WATCHED_AT_MOST_S = 15.0, 180.0
CLOSEST_POLLS_S = 0.9  # half of a camera's interval, but for what a poll takes to begin


def kill_scheduler(scene: Scene) -> str:
    """While polls that it sent are under way: their leases outlive it."""
    capture = scene.stack.container("capture")

    def leased(hand: list[Line]) -> set[str]:
        with scene.stack.catalog() as catalog:
            under_lease = {row.id for row in catalog.cameras.all() if row.lease_token is not None}
        return under_lease & {line.get("camera") for line in hand}

    with frozen_with_task_in_hand("capture", capture, lambda hand: bool(leased(hand))) as hand:
        polls = len(leased(hand))
        told = kill(scene.stack.container("scheduler"), then=capture.unpause)
    ends = describe_ends("capture", capture, hand)
    return f"{polls} polls under way (ended: {ends}), {told}"


def kill_capture(scene: Scene) -> str:
    return kill_with_task_in_hand(scene.stack, "capture")


def kill_detection(scene: Scene) -> str:
    return kill_with_task_in_hand(scene.stack, "detection")


def kill_maintenance(scene: Scene) -> str:
    """In the middle of a sweep, which lingers over frames that detection has left there."""
    detection = scene.stack.container("detection")
    with frozen_with_task_in_hand("detection", detection):
        in_hand = _meet(scene, "linger")
        told = kill(scene.stack.container("maintenance"), then=detection.unpause)
    return f"{in_hand} in hand, {told}"


def die_after_image(scene: Scene) -> str:
    """Between the image and its detections, which make it a result."""

    def look(image: str, store: ObjectStore) -> None:
        assert store.exists(keys.stored_image(image))
        assert not store.exists(keys.detections(image))
        assert store.exists(keys.frame(image))

    return f"image without result, {_die_at(scene, 'die-after-image', look)}"


def die_before_delete(scene: Scene) -> str:
    """The result is there, and the unblurred frame as well."""

    def look(image: str, store: ObjectStore) -> None:
        assert store.exists(keys.detections(image))
        assert store.exists(keys.frame(image))

    maintenance = scene.stack.container("maintenance")
    freeze(maintenance)  # it would remove the frame
    try:
        told = _die_at(scene, "die-before-delete", look)
    finally:
        maintenance.unpause()
    return f"result beside its frame, {told}"


def _die_at(scene: Scene, fault: str, look: Callable[[str, ObjectStore], None]) -> str:
    """`look` is called once it is dead, and before the message comes again."""
    container = scene.stack.container("detection")
    before = restarts(container)
    image = keys.image_of(_meet(scene, fault))
    wait_until(lambda: restarts(container) > before, MET_WITHIN_S, "it is started again")
    look(image, scene.stack.store())
    wait_until_healthy(container)
    return f"restarts {before}→{restarts(container)}"


def hang_task(scene: Scene) -> str:
    """One of detection's two slots reads for ever, and the other works on."""
    container = scene.stack.container("detection")
    before, since = restarts(container), time.time()
    _meet(scene, "hang")
    return _wait_for_watchdog(scene, container, before, since, "task in hand")


def stop_worker(scene: Scene) -> str:
    """SIGSTOP to the worker, and not to its watchdog."""
    container = scene.stack.container("detection")
    before, since = restarts(container), time.time()
    send_signal(worker_of(container), SIGSTOP)
    return _wait_for_watchdog(scene, container, before, since, "heartbeat")


def _meet(scene: Scene, fault: str) -> str:
    """The key at which a worker met the fault."""
    (scene.flags / fault).touch()
    done = scene.flags / f"{fault}.done"
    wait_until(lambda: done.exists() and done.read_text(), MET_WITHIN_S, f"a worker meets {fault}")
    return done.read_text()


def _wait_for_watchdog(scene: Scene, container: Any, before: int, since: float, what: str) -> str:
    wait_until(lambda: restarts(container) > before, ENDED_WITHIN_S, "the watchdog ends it")
    wait_until_healthy(container)
    (line,) = [
        line
        for line in scene.log.read("detection", since=since)
        if line.event == "worker stands still and is ended"
    ]
    reason = str(line.get("reason"))
    assert reason.startswith(what), reason
    return f"ended for its {reason}, restarts {before}→{restarts(container)}"


def pause_beyond_visibility(scene: Scene) -> str:
    """Another worker has finished a paused one's image by the time it goes on; which it does."""
    scene.stack.scale("detection", 2)
    paused, other = scene.stack.containers("detection")
    before = restarts(paused)
    with frozen_with_task_in_hand("detection", paused) as hand:
        began, since = time.monotonic(), time.time()
        images = {line.get("image") for line in hand}
        wait_until(
            lambda: images <= _finished(other, since), REDELIVERED_WITHIN_S, f"{images} finished"
        )
        paused_s = time.monotonic() - began
    assert paused_s > VISIBILITY_TIMEOUT_S
    ends = describe_ends("detection", paused, hand)
    over = time.time()
    wait_until(lambda: _finished(paused, over), MET_WITHIN_S, "it takes the next image")
    wait_until_healthy(paused)  # its health was not told meanwhile
    assert restarts(paused) == before
    other.stop(timeout=STOPPED_WITHIN_S)  # its log is whole then, and still there
    scene.log.remember("detection", other)
    scene.stack.scale("detection", 1)
    done = f"its {len(images)} finished by the other, its own tasks ended after it: {ends}"
    return f"paused {paused_s:.0f} s, {done}"


def _finished(container: Any, since: float) -> set[str]:
    """Images whose detection began and ended here."""
    lines = [line for line in read_lines("detection", container) if line.at >= since]
    return _about(lines, "task begins") & _about(lines, "detected")


def _about(lines: list[Line], event: str) -> set[str]:
    return {
        line.get("image") for line in lines if line.event == event and line.get("task") == DETECT
    }


def double_scheduler(scene: Scene) -> str:
    """Two of everything that ticks: each turn of a camera is one message, one poll, one request."""
    scene.stack.scale("scheduler", 2)
    began = time.time()
    sent = _watch_polls(scene)
    hosts = {one["host"] for one in sent}
    assert len(hosts) == 2, f"polls were sent by {hosts}"
    requested: dict[str, list[float]] = {}
    for line in scene.log.read("simulation"):
        if line.event == "request" and line.get("at") >= began:
            requested.setdefault(line.get("camera"), []).append(line.get("at"))
    gaps = [later - at for times in requested.values() for at, later in pairwise(times)]
    assert min(gaps) > CLOSEST_POLLS_S, f"polled again after {min(gaps):.2f} s"
    tokens = [one["token"] for one in sent]
    assert len(set(tokens)) == len(tokens)
    scene.stack.scale("scheduler", 1)
    requests = sum(map(len, requested.values()))
    return f"{len(sent)} polls sent by 2, {requests} requests, no two at once"


def _watch_polls(scene: Scene) -> list[dict[str, str]]:
    """The polls sent, as the broker sees them: for a while, and until both have sent one."""
    sent: list[dict[str, str]] = []
    began = time.monotonic()

    def has_seen_enough() -> bool:
        watched_s = time.monotonic() - began
        both = len({one["host"] for one in sent}) > 1
        return watched_s > (WATCHED_S if both else WATCHED_AT_MOST_S)

    with scene.stack.broker() as broker, broker.monitor() as monitor:  # type: ignore[no-untyped-call]
        while not has_seen_enough():
            try:
                command = monitor.next_command()["command"]
            except RedisTimeout:
                continue
            if command.startswith("LPUSH capture "):
                message = json.loads(command.split(" ", 2)[2])
                _, options, _ = json.loads(base64.b64decode(message["body"]))
                if message["headers"]["task"] == POLL:
                    token = options["message"]["token"]
                    host = message["headers"]["origin"].partition("@")[2]
                    sent.append({"token": token, "host": host})
    return sent
