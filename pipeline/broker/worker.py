"""The worker that consumes an app's queue, in threads."""

from __future__ import annotations

import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import FrameType
from typing import Any

from celery import Celery
from celery.concurrency.thread import TaskPool
from celery.worker import state

from pipeline.broker.heartbeat import EVERY_S, Heart, WatchedScheduler, follow_tasks
from pipeline.vitals import Vitals


class ThreadsOfOneApp(TaskPool):
    """Threads that know their app: Celery looks a task up in the thread's current app, and one
    process may hold several."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.executor = ThreadPoolExecutor(self.limit, initializer=self.app.set_current)


def make_worker(app: Celery, threads: int, **options: Any) -> Any:
    """A worker to `start` in a thread of its own; it ends when celery.worker.state says so."""
    return app.WorkController(
        pool=ThreadsOfOneApp,
        concurrency=threads,
        without_mingle=True,
        without_gossip=True,
        without_heartbeat=True,
        **options,
    )


def run_worker(
    app: Celery,
    threads: int,
    vitals: Vitals | None = None,
    *,
    beat: bool = False,
    heartbeat_every_s: float = EVERY_S,
) -> None:
    """Consume the app's queue until the process is told to stop; `beat` adds beat as a child.

    Shows its signs of life in `vitals`. Exits the process with a status when it had to give up.
    """
    vitals = vitals or Vitals()
    heart = Heart(app, vitals, heartbeat_every_s)
    follow_tasks(vitals)
    scheduler = partial(WatchedScheduler, vitals, os.getpid())
    # The heart starts when all is ready: beat is forked before, and forking beside a thread at
    # work may hang.
    worker = make_worker(app, threads, beat=beat, scheduler=scheduler, ready_callback=heart.start)
    _stop_when_told()
    if beat:
        vitals.touch_beat()
    vitals.touch()
    worker.start()
    if worker.exitcode:
        sys.exit(worker.exitcode)


def _stop_when_told() -> None:
    """Told once, finish the tasks in hand; told to quit, or again at the keyboard, do not."""

    told: Any = state  # an exit status stops all, which its types don't know

    def finish(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGQUIT or (number == signal.SIGINT and told.should_stop is not None):
            told.should_terminate = os.EX_OK
        told.should_stop = os.EX_OK

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, finish)
