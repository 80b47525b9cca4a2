"""Labeling's process, a step at a time: each is asked for by a line, and answered by one of JSON.

Started by labeling_push.py, so that nothing but what the service loads is in its memory.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

# What the composed service has loaded as well, although a folder and SQLite stand in here.
import minio  # noqa: F401
import psycopg  # noqa: F401

from pipeline.broker import make_app, publisher
from pipeline.catalog.labeling.tasks import TaskState
from pipeline.errors import UserError
from pipeline.logs import start_logs
from pipeline.messages import FollowChanges, PushTasks
from pipeline.settings import PipelineSettings
from services.labeling import tasks
from services.labeling.api import make_api, serving
from services.labeling.context import LabelingContext
from services.labeling.receiving import comparing
from services.labeling.sending import considering
from services.labeling.settings import LabelingSettings
from services.labeling.webhook import Doorbell

SETTLED_WITHIN_S = 600.0


class Process:
    def __init__(self, context: LabelingContext) -> None:
        self._context = context
        self.steps: Mapping[str, Callable[[], None]] = {
            "connect": self.connect,
            "consider": self.consider,
            "push": self.push,
            "follow": self.follow,
            "settle": self.settle,
            "compare": self.compare,
        }

    @property
    def _key(self) -> str:
        key = self._context.connection.project
        assert key is not None, "not connected"
        return key

    def counts(self) -> Mapping[str, int]:
        catalog, key = self._context.catalog, self._context.connection.project
        if key is None:
            return {}
        said = sum(catalog.annotations.count_by_status(key).values())
        return {**catalog.labeling.count_by_state(key), "annotations": said}

    def connect(self) -> None:
        with self._context.connection.session():
            pass
        self._check()

    def consider(self) -> None:
        while considering.catch_up(self._context, self._key, math.inf):
            pass

    def push(self) -> None:
        while self.counts().get(TaskState.WAITING):
            tasks.push_tasks(self._context, PushTasks())
            self._check()

    def follow(self) -> None:
        """To the end of the changes, in as many runs as it takes."""
        while True:
            tasks.follow_changes(self._context, FollowChanges())
            self._check()
            cursor = self._context.progress.cursor
            if cursor is not None and cursor.begun_at is None:
                return

    def compare(self) -> None:
        """Every labeling task with every row, whether it is due or not."""
        settings = self._context.settings.model_copy(update={"compare_every_s": 0.0})
        context = replace(self._context, settings=settings)
        with context.connection.session() as connected:
            assert connected is not None
            comparing.compare_when_due(context, connected, math.inf)
        self._check()

    def settle(self) -> None:
        """Until what was changed last cannot turn up late any more, as a service does by itself."""
        end = time.monotonic() + SETTLED_WITHIN_S
        while not ((cursor := self._context.progress.cursor) and cursor.settled):
            if time.monotonic() > end:
                raise TimeoutError("changes do not come to an end")
            self.follow()
            time.sleep(2.0)

    def _check(self) -> None:
        if reason := self._context.connection.reason:
            raise UserError(reason)


def main() -> None:
    start_logs(Path(sys.argv[1]))
    settings, shared = LabelingSettings(), PipelineSettings()
    app = make_app(
        "labeling",
        shared.broker_url,
        tasks.handlers,
        lambda publish: tasks.build_context(shared, settings, publish),
    )
    context = tasks.build_context(shared, settings, publisher(app))
    process = Process(context)
    api = make_api(settings, context.store, Doorbell(publisher(app)))
    with serving(api, settings.api_host, settings.api_port):
        for line in sys.stdin:
            answer(process, line.strip())


def answer(process: Process, step: str) -> None:
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    process.steps[step]()
    measured = {
        "cpu_s": time.process_time() - cpu_s,
        "wall_s": time.perf_counter() - wall_s,
        "peak_mb": peak_rss_bytes() / 1e6,
        "counts": dict(process.counts()),
    }
    sys.stdout.write(json.dumps(measured) + "\n")
    sys.stdout.flush()


def peak_rss_bytes() -> int:
    """Of this program alone: getrusage counts what its parent held when it began."""
    status = Path("/proc/self/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    main()
