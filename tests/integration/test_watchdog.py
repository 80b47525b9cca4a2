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
)
from tests.runners import find_free_port
from tests.servers import Server, start_redis
from tests.waiting import wait_until

pytestmark = pytest.mark.integration

STALE_S = 10.0  # more than a slow start takes


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
        assert worker.watchdog.wait(60) == STOOD_STILL
        assert "heartbeat" in told_to(worker)
        wait_until(lambda: not is_alive(child), 60, "ended")


def test_worker_whose_only_slot_hangs_is_ended(
    options: WorkerOptions, send: Publish, tmp_path: Path
) -> None:
    with running(options, tmp_path) as worker:
        send(PollDue(camera="until-never", token="t"))
        worker.wait_for("task begins", camera="until-never")
        assert worker.watchdog.wait(60) == STOOD_STILL
        assert "heartbeat" in told_to(worker)


def test_worker_with_a_hung_task_is_ended_though_its_other_slot_works(
    options: WorkerOptions, send: Publish, tmp_path: Path
) -> None:
    limits = {"stale_s": STALE_S, "task_s": 2 * STALE_S}
    with running(replace(options, threads=2, limits=limits), tmp_path) as worker:
        send(PollDue(camera="until-never", token="t"))
        worker.wait_for("task begins", camera="until-never")
        be_ready(worker, send)
        assert worker.watchdog.wait(60) == STOOD_STILL
        assert "task in hand" in told_to(worker), "of the two the heartbeat has less time"


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL])
def test_worker_without_its_beat_is_ended(
    number: signal.Signals, options: WorkerOptions, send: Publish, tmp_path: Path
) -> None:
    options = replace(options, service="scheduler", beat=True)
    with running(options, tmp_path) as worker:
        worker.wait_until_ready()
        [beat] = children_of(worker.worker)
        os.kill(beat, number)
        assert worker.watchdog.wait(60) == STOOD_STILL
        assert "beat: " in told_to(worker)
        wait_until(lambda: not is_alive(beat), 60, "ended")


def test_told_to_stop_the_worker_finishes_what_it_has_in_hand(
    options: WorkerOptions, send: Publish, redis_server: Server, tmp_path: Path
) -> None:
    with running(options, tmp_path) as worker:
        for name in ("last-a", "later"):
            send(PollDue(camera=name, token="t"))
        worker.wait_for("task begins", camera="last-a")
        child = worker.worker
        assert worker.stop() == 0
        assert worker.lines("task ends", camera="last-a", outcome="done")
        assert not worker.lines("task begins", camera="later")
        assert not is_alive(child)
    assert left_for_good(redis_server) == {"capture"}  # the one not begun, and nothing in hand


def test_watchdog_rests_while_its_worker_finishes(
    options: WorkerOptions, send: Publish, tmp_path: Path
) -> None:
    with running(options, tmp_path) as worker:
        send(PollDue(camera="until-a", token="t"))
        worker.wait_for("task begins", camera="until-a")
        worker.watchdog.terminate()
        began_s = read_cpu_s(worker.watchdog.pid)
        time.sleep(3)
        assert read_cpu_s(worker.watchdog.pid) - began_s < 0.3
        worker.open_gate("until-a")
        assert worker.watchdog.wait(60) == 0


def read_cpu_s(pid: int) -> float:
    """Of the user's time and the system's."""
    ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


def test_killed_workers_watchdog_ends_at_once(
    options: WorkerOptions, send: Publish, tmp_path: Path
) -> None:
    limits = {"look_every_s": 600.0}  # only the child's end can wake it
    with running(replace(options, limits=limits), tmp_path) as worker:
        be_ready(worker, send)
        os.kill(worker.worker, signal.SIGKILL)
        assert worker.watchdog.wait(60) == 128 + signal.SIGKILL


def test_killed_watchdog_leaves_nobody_behind(
    options: WorkerOptions, send: Publish, tmp_path: Path
) -> None:
    with running(replace(options, service="scheduler", beat=True), tmp_path) as worker:
        worker.wait_until_ready()
        family = [worker.worker, *children_of(worker.worker)]
        assert len(family) == 2
        worker.watchdog.kill()
        wait_until(lambda: not any(map(is_alive, family)), 60, "all ended")


def test_frozen_watchdog_gives_its_worker_fresh_time(
    options: WorkerOptions, send: Publish, tmp_path: Path
) -> None:
    """As by `docker pause`: all processes at once."""
    with running(options, tmp_path) as worker:
        worker.wait_until_ready()
        for pid in (worker.watchdog.pid, worker.worker):
            os.kill(pid, signal.SIGSTOP)
        time.sleep(STALE_S + 2)
        last = worker.health.stat().st_mtime
        os.kill(worker.watchdog.pid, signal.SIGCONT)
        wait_until(lambda: worker.health.stat().st_mtime > last, 60, "all well to the watchdog")
        os.kill(worker.worker, signal.SIGCONT)
        be_ready(worker, send)
        assert worker.watchdog.poll() is None


def test_nobody_is_blamed_for_a_broker_that_is_away(tmp_path: Path) -> None:
    with start_redis() as server:
        limits = {"stale_s": STALE_S}
        options = WorkerOptions(server.url, service="scheduler", beat=True, limits=limits)
        with running(options, tmp_path) as worker:
            worker.wait_until_ready()
            server.kill()
            worker.wait_for("the broker takes no heartbeat")
            time.sleep(STALE_S + 2)
            assert worker.watchdog.poll() is None
            server.start()
            worker.wait_for("the broker takes heartbeats again")
            time.sleep(STALE_S + 2)
            assert worker.watchdog.poll() is None, worker.lines()
            assert worker.stop() == 0


def test_health_file_is_touched_while_all_is_well(options: WorkerOptions, tmp_path: Path) -> None:
    with running(options, tmp_path) as worker:
        worker.wait_until_ready()
        first = worker.health.stat().st_mtime
        wait_until(lambda: worker.health.stat().st_mtime > first, 60, "touched again")


def test_worker_that_never_worked_has_no_health_file(tmp_path: Path) -> None:
    nowhere = f"redis://127.0.0.1:{find_free_port()}/0"
    with running(WorkerOptions(nowhere, limits={"stale_s": 3.0}), tmp_path) as worker:
        assert worker.watchdog.wait(60) == STOOD_STILL
        assert not worker.health.exists()


def left_for_good(server: Server) -> set[str]:
    """Keys that do not expire."""
    import redis

    with redis.Redis.from_url(server.url, decode_responses=True) as client:
        return {key for key in client.keys("*") if client.ttl(key) < 0}
