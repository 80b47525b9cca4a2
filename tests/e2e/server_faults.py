"""What may happen to a server: killed, restarted, wiped, full, stopped, cut off."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from tests.e2e.fault import Scene
from tests.e2e.happening import (
    describe_ends,
    freeze,
    frozen_with_task_in_hand,
    kill,
    wait_until_healthy,
)
from tests.e2e.stack import WORKERS
from tests.waiting import wait_until

OUTAGE_S = 60.0
CUT_S = 25.0  # longer than all retries of a task together
FULL_S = 20.0
TOLD_WHEN_FULL = "it is full"
TOLD_BY_FULL_BROKER = "maxmemory"
MESSAGES = 8
PILED_UP_WITHIN_S = 180.0
FELT_WITHIN_S = 180.0


def kill_broker(scene: Scene) -> str:
    """With messages waiting in it."""
    with _piled_up(scene) as before:
        told = kill(scene.stack.container("broker"))
        after = _messages(scene)
    assert before <= after
    return f"{len(before)} messages waited, and all of them after it, {told}"


def kill_object_store(scene: Scene) -> str:
    return _kill_in_use(scene, "object-store")


def kill_catalog(scene: Scene) -> str:
    return _kill_in_use(scene, "catalog")


def _kill_in_use(scene: Scene, server: str) -> str:
    """Detection stands in the middle of a task when it dies, and goes on while it is away."""
    detection = scene.stack.container("detection")
    with frozen_with_task_in_hand("detection", detection) as hand:
        told = kill(scene.stack.container(server), then=detection.unpause)
    ends = describe_ends("detection", detection, hand)
    return f"{len(hand)} detections in hand (ended: {ends}), {told}"


def restart_broker(scene: Scene) -> str:
    """With messages waiting in it."""
    with _piled_up(scene) as before:
        broker = scene.stack.container("broker")
        broker.restart(timeout=20)
        wait_until_healthy(broker)
        after = _messages(scene)
    assert before <= after
    return f"{len(before)} messages waited, and all of them after it"


def wipe_broker(scene: Scene) -> str:
    """Its data is gone, with all messages."""
    with _piled_up(scene) as before:
        broker = scene.stack.container("broker")
        broker.stop(timeout=20)
        _empty_volume(scene, broker, "/data")
        broker.start()
        wait_until_healthy(broker)
        after = _messages(scene)
    assert not before & after
    return f"{len(before)} messages waited, and none of them after it"


def fill_broker(scene: Scene) -> str:
    """It refuses every write, while detection takes messages that it cannot note as in hand."""
    began = time.time()
    with scene.stack.broker() as broker:
        before = _refused_writes(broker)
        usual = str(broker.config_get("maxmemory")["maxmemory"])
        try:
            with _piled_up(scene) as waiting:
                broker.config_set("maxmemory", "1mb")
            full_s = _last(
                scene,
                FULL_S,
                lambda: (
                    _refused_writes(broker) > before
                    and scene.log.complaints(*WORKERS, about=TOLD_BY_FULL_BROKER, since=began)
                ),
            )
            refused = _refused_writes(broker) - before
        finally:
            broker.config_set("maxmemory", usual)
    return f"full {full_s:.0f} s with {len(waiting)} messages waiting, {refused} writes refused"


def _refused_writes(broker: Redis) -> int:
    """Since it was started, for want of memory."""
    return int(broker.info("errorstats").get("errorstat_OOM", {}).get("count", 0))


def stop_object_store(scene: Scene) -> str:
    began = time.time()

    def felt() -> tuple[int, int]:
        unstored = _outcomes(scene, began, "not-stored")
        return unstored, scene.log.failed_tasks("detection", "StorageError", began)

    stopped_s = _stop_until(scene, "object-store", lambda: all(felt()))
    unstored, failed = felt()
    return f"stopped {stopped_s:.0f} s, {unstored} polls not stored, {failed} detections put off"


def stop_catalog(scene: Scene) -> str:
    began = time.time()

    def felt() -> tuple[int, int]:
        complaints = scene.log.complaints(*WORKERS, about="the catalog", since=began)
        return len(complaints), scene.log.failed_tasks("detection", "CatalogError", began)

    stopped_s = _stop_until(scene, "catalog", lambda: all(felt()))
    complaints, failed = felt()
    return f"stopped {stopped_s:.0f} s, {complaints} complaints of it, {failed} detections put off"


def cut_detection_off(scene: Scene) -> str:
    """Each server has a network of its own: detection still hears of images."""
    began, stack = time.time(), scene.stack
    network = stack.engine.networks.get(f"{stack.project}_object-store")
    detection = stack.container("detection")

    def count_failed() -> int:
        return scene.log.failed_tasks("detection", "StorageError", began)

    network.disconnect(detection)
    try:
        cut_s = _last(scene, CUT_S, count_failed)
    finally:
        network.connect(detection)
    return f"cut off {cut_s:.0f} s, {count_failed()} detections put off"


def fill_disk(scene: Scene) -> str:
    """First the store refuses, then capture sees that there is no room, and does not poll."""
    if scene.disk is None:
        pytest.skip("a small disk is made by root alone")
    began, ballast = time.time(), scene.disk / "ballast"
    try:
        with _piled_up(scene):
            _fill(ballast)
        wait_until(lambda: _refused(scene, "detection", began), FELT_WITHIN_S, "it is refused")
        wait_until(lambda: _outcomes(scene, began, "disk-low"), FELT_WITHIN_S, "capture sees it")
    finally:
        ballast.unlink()
    refused = _refused(scene, "capture", began) + _refused(scene, "detection", began)
    held = _outcomes(scene, began, "disk-low")
    return f"{refused} tasks had a write refused, then {held} polls held back"


def _fill(ballast: Path) -> None:
    """To the last block."""
    free = os.statvfs(ballast.parent)
    with ballast.open("wb") as file, suppress(OSError):
        os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize)


@contextmanager
def _piled_up(scene: Scene) -> Iterator[set[str]]:
    """Detection stands still meanwhile, and messages wait for it in the broker: their ids."""
    detection = scene.stack.container("detection")
    freeze(detection)
    try:
        wait_until(lambda: len(_messages(scene)) >= MESSAGES, PILED_UP_WITHIN_S, "messages wait")
        yield _messages(scene)
    finally:
        detection.unpause()


def _messages(scene: Scene) -> set[str]:
    with scene.stack.broker() as broker:
        waiting = broker.lrange("detection", 0, -1)
    return {json.loads(message)["headers"]["id"] for message in waiting}


def _stop_until(scene: Scene, service: str, felt: Callable[[], object]) -> float:
    """With images under way. Gives the seconds it was away."""
    container = scene.stack.container(service)
    with _piled_up(scene):
        container.stop(timeout=30)
    try:
        stopped_s = _last(scene, OUTAGE_S, felt)
    finally:
        container.start()
    wait_until_healthy(container)
    return stopped_s


def _last(scene: Scene, least_s: float, felt: Callable[[], object]) -> float:
    """A fault lasts so long, and longer where a slow machine has not felt it by then."""
    began = time.monotonic()
    scene.flow.stopped.wait(least_s)
    wait_until(felt, FELT_WITHIN_S, "the fault is felt")
    return time.monotonic() - began


def _empty_volume(scene: Scene, owner: Any, path: str) -> None:
    """What a stopped container has in the volume that it mounts there."""
    scene.stack.engine.containers.run(
        owner.attrs["Config"]["Image"],
        ["-c", f"rm -rf {path}/*"],
        entrypoint="sh",
        user=owner.attrs["Config"]["User"],
        network_mode="none",
        remove=True,
        volumes_from=[owner.id],
    )


def _outcomes(scene: Scene, since: float, outcome: str) -> int:
    lines = scene.log.read("capture", since=since)
    return sum(line.event == "polled" and line.get("outcome") == outcome for line in lines)


def _refused(scene: Scene, service: str, since: float) -> int:
    lines = scene.log.read(service, since=since)
    return sum(TOLD_WHEN_FULL in str(line.get("reason")) for line in lines)
