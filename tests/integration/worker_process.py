"""A worker under watch in processes of its own, told what to do by the camera a poll names.

`until-a` waits until the test opens its gate, the first `fail-a` as well, and fails then; `last-a`
waits until the worker has been told to stop. Run as a script it is that worker.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pipeline.vitals import Vitals
from pipeline.watchdog import Limits, watch
from tests.waiting import wait_until

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
    worker: int
    log: Path
    health: Path

    def lines(self, event: str = "", **fields: Any) -> list[dict[str, Any]]:
        """What it logged of an event, with these values."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line[:1] == "{"]
        return [
            line
            for line in lines
            if (not event or line["event"] == event)
            and all(line.get(name) == value for name, value in fields.items())
        ]

    def wait_for(self, event: str, count: int = 1, within_s: float = 60, **fields: Any) -> None:
        wait_until(
            lambda: len(self.lines(event, **fields)) >= count,
            within_s,
            f"{count} times {event} {fields} in {self.log.read_text()}",
        )

    def wait_until_ready(self) -> None:
        wait_until(self.health.exists, 60, f"ready: {self.log.read_text()}")

    def open_gate(self, camera: str) -> None:
        (self.log.parent / camera).touch()

    def stop(self) -> int:
        self.watchdog.send_signal(signal.SIGTERM)
        return self.watchdog.wait(60)


@contextmanager
def running(options: WorkerOptions, folder: Path) -> Iterator[WorkerProcess]:
    """Runs until the block ends, whatever happened in there. Nobody of it is left then: one that
    is still dying could take the next test's message from a shared broker."""
    log, health = folder / f"{options.name}.log", folder / f"{options.name}.health"
    with log.open("a") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", __name__, json.dumps(asdict(options)), str(folder)],
            cwd=ROOT,
            stderr=errors,
            text=True,
            env={**os.environ, "PIPELINE_HEALTH_FILE": str(health)},
        )
    workers: list[int] = []
    try:
        workers += wait_until(lambda: children_of(process.pid), 60, "a child")
        yield WorkerProcess(process, workers[0], log, health)
    finally:
        process.send_signal(signal.SIGCONT)
        process.kill()  # and with it all the others
        process.wait(60)
        wait_until(lambda: not any(map(group_of, workers)), 60, "all ended")


def children_of(pid: int) -> list[int]:
    return _alive("ppid", pid)


def group_of(pid: int) -> list[int]:
    """A worker's process group is its own, and its beat is in there."""
    return _alive("pgid", pid)


def is_alive(pid: int) -> bool:
    return bool(_alive("pid", pid))


def _alive(column: str, number: int) -> list[int]:
    """The processes with this number in a column of `ps` that have not ended."""
    told = subprocess.run(
        ["ps", "-e", "-o", f"pid=,stat=,{column}="], capture_output=True, text=True, check=True
    )
    rows = (line.split() for line in told.stdout.splitlines())
    return [int(pid) for pid, state, has in rows if int(has) == number and state[0] != "Z"]


def work(vitals: Vitals) -> None:
    from celery.worker import state

    from pipeline.broker import Handlers, Publish, make_app, run_worker
    from pipeline.errors import TransientError
    from pipeline.logs import start_logs
    from pipeline.messages import ImageStored, PollDue, Tick

    options = WorkerOptions(**json.loads(sys.argv[1]))
    folder = Path(sys.argv[2])
    handlers: Handlers[Publish] = Handlers()
    failed: list[str] = []

    @handlers.on(PollDue)
    def poll(publish: Publish, message: PollDue) -> None:
        kind, _, rest = message.camera.partition("-")
        if kind == "send":
            publish(ImageStored(image=rest))
        if kind == "last":
            wait_until(lambda: state.should_stop is not None, 300, "told to stop")
        if kind in {"until", "fail"}:
            wait_until((folder / message.camera).exists, 300, "an open gate")
        if kind == "fail" and not failed:
            failed.append(rest)
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
