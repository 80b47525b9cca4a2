"""The watchdog and its worker as processes, with a real Redis: what stands still is ended."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from kombu import pools

from pipeline.broker import Handlers, Publish, make_app, publisher
from pipeline.messages import PollDue
from pipeline.watchdog import STOOD_STILL
from tests.integration.worker_process import (
    WorkerOptions,
    WorkerProcess,
    children_of,
    is_alive,
    running,
    wait_until,
)
from tests.servers import Server, start_redis

pytestmark = pytest.mark.integration

STALE_S = 3.0


@pytest.fixture
def options(redis_server: Server) -> WorkerOptions:
    import redis

    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
    return WorkerOptions(redis_server.url, limits={"stale_s": STALE_S})


@pytest.fixture
def send(redis_server: Server) -> Iterator[Publish]:
    with make_app("scheduler", redis_server.url, Handlers[None](), lambda publish: None) as app:
        yield publisher(app)
    pools.reset()


def be_ready(worker: WorkerProcess, send: Publish) -> None:
    send(PollDue(camera="first", token="t"))
    worker.wait_for("task ends", camera="first")


def told_to(worker: WorkerProcess) -> str:
    [line] = worker.lines("worker stands still and is ended")
    return str(line["reason"])


def test_stopped_worker_is_ended(options: WorkerOptions, send: Publish, tmp_path: Path) -> None:
    with running(options, tmp_path) as worker:
        be_ready(worker, send)
        child = worker.worker
        os.kill(child, signal.SIGSTOP)
        began = time.monotonic()
        assert worker.watchdog.wait(STALE_S + 10) == STOOD_STILL
        assert STALE_S - 1 < time.monotonic() - began < STALE_S + 5
        assert "heartbeat" in told_to(worker)
        assert not is_alive(child)


def test_worker_whose_only_slot_hangs_is_ended(
    options: WorkerOptions, send: Publish, tmp_path: Path
) -> None:
    with running(options, tmp_path) as worker:
        send(PollDue(camera="sleep-60", token="t"))
        worker.wait_for("task begins", camera="sleep-60")
        assert worker.watchdog.wait(STALE_S + 10) == STOOD_STILL
        assert "heartbeat" in told_to(worker)


def test_worker_with_a_hung_task_is_ended_though_its_other_slot_works(
    options: WorkerOptions, send: Publish, tmp_path: Path
) -> None:
    limits = {"stale_s": STALE_S, "task_s": 2 * STALE_S}
    with running(replace(options, threads=2, limits=limits), tmp_path) as worker:
        send(PollDue(camera="sleep-60", token="t"))
        worker.wait_for("task begins", camera="sleep-60")
        time.sleep(STALE_S + 1)
        be_ready(worker, send)
        assert time.time() - worker.health.stat().st_mtime < 2.5
        assert worker.watchdog.wait(2 * STALE_S + 10) == STOOD_STILL
        assert "task in hand" in told_to(worker)


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL])
def test_worker_without_its_beat_is_ended(
    number: signal.Signals, options: WorkerOptions, send: Publish, tmp_path: Path
) -> None:
    options = replace(options, service="scheduler", beat=True)
    with running(options, tmp_path) as worker:
        worker.wait_until_ready()
        time.sleep(STALE_S + 1)
        assert worker.watchdog.poll() is None, "a beat that ticks is left in peace"
        [beat] = children_of(worker.worker)
        os.kill(beat, number)
        assert worker.watchdog.wait(STALE_S + 10) == STOOD_STILL
        assert "beat: " in told_to(worker)
        assert not is_alive(beat)


def test_told_to_stop_the_worker_finishes_what_it_has_in_hand(
    options: WorkerOptions, send: Publish, redis_server: Server, tmp_path: Path
) -> None:
    with running(options, tmp_path) as worker:
        for name in ("sleep-2-a", "later"):
            send(PollDue(camera=name, token="t"))
        worker.wait_for("task begins", camera="sleep-2-a")
        child = worker.worker
        assert worker.stop() == 0
        assert worker.lines("task ends", camera="sleep-2-a", outcome="done")
        assert not worker.lines("task begins", camera="later")
        assert not is_alive(child)
    assert left_for_good(redis_server) == {"capture"}  # the one not begun, and nothing in hand


def test_killed_workers_watchdog_ends_at_once(
    options: WorkerOptions, send: Publish, tmp_path: Path
) -> None:
    with running(options, tmp_path) as worker:
        be_ready(worker, send)
        os.kill(worker.worker, signal.SIGKILL)
        began = time.monotonic()
        assert worker.watchdog.wait(10) == 128 + signal.SIGKILL
        assert time.monotonic() - began < 1


def test_killed_watchdog_leaves_nobody_behind(
    options: WorkerOptions, send: Publish, tmp_path: Path
) -> None:
    with running(replace(options, service="scheduler", beat=True), tmp_path) as worker:
        worker.wait_until_ready()
        family = [worker.worker, *children_of(worker.worker)]
        assert len(family) == 2
        worker.watchdog.kill()
        wait_until(lambda: not any(map(is_alive, family)), 5, "all ended")


def test_frozen_watchdog_gives_its_worker_fresh_time(
    options: WorkerOptions, send: Publish, tmp_path: Path
) -> None:
    """As by `docker pause`: all processes at once."""
    limits = {"stale_s": STALE_S, "frozen_s": 2.0}
    with running(replace(options, limits=limits), tmp_path) as worker:
        be_ready(worker, send)
        both = (worker.watchdog.pid, worker.worker)
        for pid in both:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(STALE_S + 2)
        for pid in both:
            os.kill(pid, signal.SIGCONT)
        send(PollDue(camera="after", token="t"))
        worker.wait_for("task ends", camera="after")
        time.sleep(STALE_S + 1)
        assert worker.watchdog.poll() is None


def test_nobody_is_blamed_for_a_broker_that_is_away(tmp_path: Path) -> None:
    with start_redis() as server:
        limits = {"stale_s": 8.0}
        options = WorkerOptions(server.url, service="scheduler", beat=True, limits=limits)
        with running(options, tmp_path) as worker:
            worker.wait_until_ready()
            server.kill()
            worker.wait_for("the broker takes no heartbeat")
            time.sleep(10)
            assert worker.watchdog.poll() is None
            server.start()
            worker.wait_for("the broker takes heartbeats again")
            time.sleep(10)
            assert worker.watchdog.poll() is None, worker.lines()
            assert worker.stop() == 0


def test_health_file_is_touched_once_the_pool_has_worked(
    options: WorkerOptions, tmp_path: Path
) -> None:
    with running(options, tmp_path) as worker:
        health = worker.health
        assert not health.exists()
        worker.wait_until_ready()
        first = health.stat().st_mtime
        wait_until(lambda: health.stat().st_mtime > first, 5, "touched again")
        os.kill(worker.worker, signal.SIGSTOP)
        worker.watchdog.wait(STALE_S + 10)
        last = health.stat().st_mtime
        time.sleep(1.5)
        assert health.stat().st_mtime == last


def left_for_good(server: Server) -> set[str]:
    """Keys that do not expire."""
    import redis

    with redis.Redis.from_url(server.url, decode_responses=True) as client:
        return {key for key in client.keys("*") if client.ttl(key) < 0}
