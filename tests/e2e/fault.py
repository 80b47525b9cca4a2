"""A fault: what is done to a stack, and the line of the table that says what became of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.census import Census
from tests.e2e.execution import ExecutionLog
from tests.e2e.flow import Flow
from tests.e2e.stack import Stack

SETTLES_S = 2.0  # clocks of log lines and of this process are one machine's


@dataclass(frozen=True)
class Scene:
    """What a fault is made on. `flags` is the folder that sitecustomize looks into; `disk` is the
    object store's, where it has a small one of its own."""

    stack: Stack
    flow: Flow
    log: ExecutionLog
    census: Census
    flags: Path
    disk: Path | None = None


@dataclass(frozen=True)
class Fault:
    """`strike` makes it happen, asserts that it did, ends it, and says what was seen."""

    name: str
    strike: Callable[[Scene], str]
    drains_within_s: float = 480.0


@dataclass(frozen=True)
class Row:
    fault: str
    happened: str
    recovered_s: float
    kept: int
    results: int
    repeated: int
    lost: list[str]
    orphans: list[str]
    blurred: int  # faces


def suffer(scene: Scene, fault: Fault) -> Row:
    """Frames flow, the fault strikes, and once it is over all that was under way is looked at."""
    census = scene.census
    began, before, blurred = time.time(), census.list_images(), census.blurred
    scene.flow.start()
    happened = fault.strike(scene)
    over = time.monotonic()
    scene.flow.wait_for_results(1)
    scene.flow.stop()
    scene.flow.drain(fault.drains_within_s)
    recovered_s = time.monotonic() - over
    after = census.list_images()
    kept = census.list_kept(after)
    lost = sorted(kept - (set(after.images) & set(after.results)))
    if not lost and not after.orphans:
        census.assert_sound(after)
        assert_doctor_agrees(scene.stack)
    new = set(after.images) - set(before.images)
    return Row(
        fault=fault.name,
        happened=happened,
        recovered_s=recovered_s,
        kept=len(kept - set(before.images)),
        results=len(set(after.results) - set(before.results)),
        repeated=census.count_repeats(new, since=began - SETTLES_S),
        lost=lost,
        orphans=after.orphans,
        blurred=census.blurred - blurred,
    )


def assert_doctor_agrees(stack: Stack) -> None:
    told = stack.run("doctor", "--json")
    checks = json.loads(told.out)
    failed = [check for check in checks if check["status"] == "fail"]
    assert not failed, failed
    agreed = [check for check in checks if check["name"] == "catalog and store"]
    assert [check["status"] for check in agreed] == ["ok"], agreed
