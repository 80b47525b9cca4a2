"""A worker under watch in processes of its own, told what to do by the camera a poll names.

`sleep-3-a` sleeps for three seconds, the first `fail-a` fails after one. Run as a script it is
that worker.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pipeline.vitals import Vitals
from pipeline.watchdog import Limits, watch

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class WorkerOptions:
    url: str
    service: str = "capture"
    threads: int = 1
    beat: bool = False
    visibility_timeout_s: float = 60.0
    heartbeat_every_s: float = 0.5
    limits: dict[str, float] = field(default_factory=dict)
    name: str = "worker"  # of its files


@dataclass
class WorkerProcess:
    """`watchdog` is its first process, `worker` that one's child."""

    watchdog: subprocess.Popen[str]
    log: Path
    health: Path

    @property
    def worker(self) -> int:
        [child] = children_of(self.watchdog.pid)
        return child

    def lines(self, event: str = "", **fields: Any) -> list[dict[str, Any]]:
        """What it logged of an event, with these values."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line[:1] == "{"]
        return [
            line
            for line in lines
            if (not event or line["event"] == event)
            and all(line.get(name) == value for name, value in fields.items())
        ]

    def wait_for(self, event: str, count: int = 1, within_s: float = 20, **fields: Any) -> None:
        wait_until(
            lambda: len(self.lines(event, **fields)) >= count,
            within_s,
            f"{count} times {event} {fields} in {self.log.read_text()}",
        )

    def wait_until_ready(self) -> None:
        wait_until(self.health.exists, 30, f"ready: {self.log.read_text()}")

    def stop(self) -> int:
        self.watchdog.send_signal(signal.SIGTERM)
        return self.watchdog.wait(20)


@contextmanager
def running(options: WorkerOptions, folder: Path) -> Iterator[WorkerProcess]:
    """Runs until the block ends, whatever happened in there."""
    log, health = folder / f"{options.name}.log", folder / f"{options.name}.health"
    with log.open("a") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", __name__, json.dumps(asdict(options))],
            cwd=ROOT,
            stderr=errors,
            text=True,
            env={**os.environ, "PIPELINE_HEALTH_FILE": str(health)},
        )
    started = WorkerProcess(process, log, health)
    try:
        wait_until(lambda: children_of(process.pid), 10, "a child")
        yield started
    finally:
        process.send_signal(signal.SIGCONT)
        process.kill()  # and with it all the others
        process.wait(10)


def wait_until(condition: Callable[[], object], within_s: float, what: str) -> None:
    ends_at = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < ends_at, f"not within {within_s} s: {what}"
        time.sleep(0.05)


def children_of(pid: int) -> list[int]:
    """Those that have not ended."""
    told = subprocess.run(
        ["ps", "-o", "pid=,stat=", "--ppid", str(pid)], capture_output=True, text=True, check=False
    )
    children = (line.split() for line in told.stdout.splitlines())
    return [int(pid) for pid, state in children if not state.startswith("Z")]


def is_alive(pid: int) -> bool:
    told = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True)
    return told.stdout.strip()[:1] not in {"", "Z"}


def work(vitals: Vitals) -> None:
    from pipeline.broker import Handlers, Publish, make_app, run_worker
    from pipeline.errors import TransientError
    from pipeline.logs import start_logs
    from pipeline.messages import ImageStored, PollDue, Tick

    options = WorkerOptions(**json.loads(sys.argv[1]))
    handlers: Handlers[Publish] = Handlers()
    failed: list[str] = []

    @handlers.on(PollDue)
    def poll(publish: Publish, message: PollDue) -> None:
        kind, _, rest = message.camera.partition("-")
        if kind == "sleep":
            time.sleep(float(rest.partition("-")[0]))
        if kind == "send":
            publish(ImageStored(image=rest))
        if kind == "fail" and not failed:
            failed.append(rest)
            time.sleep(1)
            raise TransientError("a server is away")

    @handlers.on(Tick)
    def tick(publish: Publish, message: Tick) -> None:
        pass

    start_logs()
    app = make_app(
        options.service,
        options.url,
        handlers,
        lambda publish: publish,
        visibility_timeout_s=options.visibility_timeout_s,
    )
    run_worker(
        app,
        options.threads,
        vitals,
        beat=options.beat,
        heartbeat_every_s=options.heartbeat_every_s,
    )


if __name__ == "__main__":
    watch(work, Limits(**json.loads(sys.argv[1])["limits"]))
