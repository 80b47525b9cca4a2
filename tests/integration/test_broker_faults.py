"""What happens to messages when a worker or Redis dies, hangs, forgets or is full."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from kombu import pools

from pipeline.broker import Handlers, Publish, make_app, publisher
from pipeline.errors import BrokerError
from pipeline.messages import PollDue
from tests.integration.worker_process import WorkerOptions, WorkerProcess, running, wait_until
from tests.servers import Server, start_redis

pytestmark = pytest.mark.integration

VISIBILITY_S = 4.0
DURABLE = ("--appendonly", "yes", "--appendfsync", "always")


@contextmanager
def sending(url: str) -> Iterator[Publish]:
    with make_app("scheduler", url, Handlers[None](), lambda publish: None) as app:
        yield publisher(app)
    pools.reset()


@contextmanager
def administering(server: Server) -> Iterator[Any]:
    import redis

    with redis.Redis.from_url(server.url, decode_responses=True) as client:
        yield client


def poll(camera: str) -> PollDue:
    return PollDue(camera=camera, token="t")


def executions(worker: WorkerProcess, camera: str) -> list[bool]:
    """Of each, whether its message was delivered again."""
    return [line["redelivered"] for line in worker.lines("task begins", camera=camera)]


@contextmanager
def at_work(
    server: Server, folder: Path, **options: Any
) -> Iterator[tuple[WorkerProcess, Publish]]:
    chosen = WorkerOptions(server.url, visibility_timeout_s=VISIBILITY_S, **options)
    with running(chosen, folder) as worker, sending(server.url) as send:
        worker.wait_until_ready()
        yield worker, send


def test_message_of_a_killed_worker_is_delivered_once_more(tmp_path: Path) -> None:
    with start_redis() as server, at_work(server, tmp_path, name="first") as (first, send):
        send(poll("sleep-2-a"))
        first.wait_for("task begins", camera="sleep-2-a")
        taken = time.monotonic()
        os.kill(first.worker, signal.SIGKILL)
        first.watchdog.wait(10)
        assert not first.lines("task ends")
        with at_work(server, tmp_path, name="second") as (second, _):
            second.wait_for("task begins", camera="sleep-2-a", within_s=20)
            waited_s = time.monotonic() - taken
            second.wait_for("task ends", camera="sleep-2-a")
            time.sleep(VISIBILITY_S + 3)
            assert executions(second, "sleep-2-a") == [True]
    assert VISIBILITY_S - 1 < waited_s < VISIBILITY_S + 6


def test_redis_restarted_with_its_data_loses_and_doubles_nothing(tmp_path: Path) -> None:
    with start_redis(*DURABLE) as server, at_work(server, tmp_path) as (worker, send):
        for name in ("sleep-3-in-hand", "waiting-a", "waiting-b"):
            send(poll(name))
        worker.wait_for("task begins", camera="sleep-3-in-hand")
        server.kill()
        worker.wait_for("task ends", camera="sleep-3-in-hand")
        with pytest.raises(BrokerError):
            send(poll("nowhere"))
        server.start()
        send(poll("after"))
        worker.wait_for("task ends", camera="after", within_s=30)
        time.sleep(VISIBILITY_S + 3)
        for name in ("sleep-3-in-hand", "waiting-a", "waiting-b", "after"):
            assert executions(worker, name) == [False], name
        assert not executions(worker, "nowhere")
        with administering(server) as redis:
            assert redis.hlen("capture.unacked") == 0
        assert worker.stop() == 0


def test_worker_goes_on_after_redis_forgot_everything(tmp_path: Path) -> None:
    with start_redis() as server, at_work(server, tmp_path) as (worker, send):
        send(poll("sleep-1-before"))
        send(poll("forgotten"))
        worker.wait_for("task begins", camera="sleep-1-before")
        server.kill()
        server.start()
        with administering(server) as redis:
            assert redis.dbsize() == 0 or not redis.exists("capture")
        send(poll("after"))
        worker.wait_for("task ends", camera="after", within_s=30)
        assert not executions(worker, "forgotten")
        with administering(server) as redis:
            redis.flushall()
        send(poll("after-flush"))
        worker.wait_for("task ends", camera="after-flush", within_s=30)
        assert worker.stop() == 0


@contextmanager
def full(server: Server) -> Iterator[Any]:
    with administering(server) as redis:
        redis.config_set("maxmemory", 1000)
        yield redis
        redis.config_set("maxmemory", 0)


def test_full_redis_loses_nothing_and_is_emptied_by_work(tmp_path: Path) -> None:
    with start_redis() as server, at_work(server, tmp_path) as (worker, send):
        names = ["sleep-1-a", *(f"waiting-{n}" for n in range(5))]
        for name in names:
            send(poll(name))
        worker.wait_for("task begins", camera="sleep-1-a")
        with full(server) as redis:
            assert redis.llen("capture") == 5
            with pytest.raises(BrokerError):
                send(poll("refused"))
            worker.wait_for("message in hand is not noted")
            worker.wait_for("task ends", count=6)
            assert redis.llen("capture") == 0
        send(poll("after"))
        worker.wait_for("task ends", camera="after")
        time.sleep(VISIBILITY_S + 3)
        assert [executions(worker, name) for name in names] == [[False]] * 6
        assert worker.stop() == 0


def test_retry_that_a_full_redis_refuses_comes_again(tmp_path: Path) -> None:
    """The message was noted before Redis was full."""
    with start_redis() as server, at_work(server, tmp_path) as (worker, send):
        send(poll("fail-a"))
        worker.wait_for("task begins", camera="fail-a")
        assert in_hand(server) == 1
        with full(server):
            worker.wait_for("retry not taken: its message comes again")
            time.sleep(VISIBILITY_S + 2)
            assert executions(worker, "fail-a") == [False]
            assert in_hand(server) == 1
        worker.wait_for("task ends", camera="fail-a", outcome="done")
        assert executions(worker, "fail-a") == [False, True]
        wait_until(lambda: in_hand(server) == 0, 5, "acknowledged")
        assert worker.stop() == 0


def test_retry_of_a_message_that_a_full_redis_never_noted_comes_again(tmp_path: Path) -> None:
    with start_redis() as server, at_work(server, tmp_path) as (worker, send):
        send(poll("sleep-2-before"))
        send(poll("fail-a"))
        worker.wait_for("task begins", camera="sleep-2-before")
        with full(server) as redis:
            worker.wait_for("message in hand is not noted")
            worker.wait_for("retry not taken: its message comes again")
            assert redis.llen("capture") == 0
        worker.wait_for("task ends", camera="fail-a", outcome="done")
        assert len(executions(worker, "fail-a")) == 2
        wait_until(lambda: in_hand(server) == 0, 5, "acknowledged")
        assert worker.stop() == 0


def test_worker_started_on_a_full_redis_makes_room(tmp_path: Path) -> None:
    with start_redis() as server, sending(server.url) as send:
        send(poll("waiting"))
        with full(server) as redis, running(WorkerOptions(server.url), tmp_path) as worker:
            worker.wait_for("task ends", camera="waiting")
            worker.wait_for("the broker takes no heartbeat")
            assert redis.llen("capture") == 0
            redis.config_set("maxmemory", 0)
            worker.wait_for("the broker takes heartbeats again")
            assert worker.stop() == 0


def test_frozen_redis_is_told_within_seconds_and_work_goes_on_after(tmp_path: Path) -> None:
    with start_redis() as server, at_work(server, tmp_path) as (worker, send):
        send(poll("sleep-1-in-hand"))
        worker.wait_for("task begins", camera="sleep-1-in-hand")
        server.pause()
        began = time.monotonic()
        with pytest.raises(BrokerError):
            send(poll("unheard"))
        assert 1 < time.monotonic() - began < 8
        worker.wait_for("message is not acknowledged yet")
        server.resume()
        send(poll("after"))
        worker.wait_for("task ends", camera="after", within_s=30)
        wait_until(lambda: in_hand(server) == 0, 15, "acknowledged at last")
        assert worker.stop() == 0


def in_hand(server: Server) -> int:
    with administering(server) as redis:
        return int(redis.hlen("capture.unacked"))
