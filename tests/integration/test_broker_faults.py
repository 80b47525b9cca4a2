"""What happens to messages when a worker or Redis dies, hangs, forgets or is full."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from kombu import pools

from pipeline.broker import Handlers, Publish, make_app, publisher
from pipeline.broker.transport import RESTORE_EVERY_S
from pipeline.errors import BrokerError
from pipeline.messages import PollDue
from tests.integration.worker_process import WorkerOptions, WorkerProcess, running
from tests.servers import Server, start_redis
from tests.waiting import wait_until

pytestmark = pytest.mark.integration

NOTED = "capture.unacked_index"  # Redis's note of what is in hand: message to time
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
    with (
        running(WorkerOptions(server.url, **options), folder) as worker,
        sending(server.url) as send,
    ):
        worker.wait_until_ready()
        yield worker, send


def in_hand(server: Server) -> int:
    with administering(server) as redis:
        return int(redis.hlen("capture.unacked"))


def wait_until_nothing_comes_again(server: Server) -> None:
    wait_until(lambda: in_hand(server) == 0, 30, "acknowledged")
    with administering(server) as redis:
        assert redis.llen("capture") == 0


def test_message_of_a_killed_worker_is_delivered_once_more(tmp_path: Path) -> None:
    with start_redis() as server, at_work(server, tmp_path, name="first") as (first, send):
        send(poll("until-a"))
        first.wait_for("task begins", camera="until-a")
        with administering(server) as redis:
            [(_, noted_at)] = redis.zrange(NOTED, 0, -1, withscores=True)
        os.kill(first.worker, signal.SIGKILL)
        first.watchdog.wait(60)
        assert not first.lines("task ends")
        first.open_gate("until-a")
        with at_work(server, tmp_path, name="second", visibility_timeout_s=6.0) as (second, _):
            second.wait_for("task ends", camera="until-a")
            wait_until_nothing_comes_again(server)
            assert executions(second, "until-a") == [True]
            [again] = second.lines("task begins", camera="until-a")
            assert datetime.fromisoformat(again["timestamp"]).timestamp() >= noted_at + 6


def test_redis_restarted_with_its_data_loses_and_doubles_nothing(tmp_path: Path) -> None:
    with start_redis(*DURABLE) as server, at_work(server, tmp_path) as (worker, send):
        for name in ("until-in-hand", "waiting-a", "waiting-b"):
            send(poll(name))
        worker.wait_for("task begins", camera="until-in-hand")
        server.kill()
        worker.open_gate("until-in-hand")
        worker.wait_for("task ends", camera="until-in-hand")
        with pytest.raises(BrokerError):
            send(poll("nowhere"))
        server.start()
        send(poll("after"))
        worker.wait_for("task ends", camera="after")
        wait_until_nothing_comes_again(server)
        for name in ("until-in-hand", "waiting-a", "waiting-b", "after"):
            assert executions(worker, name) == [False], name
        assert not executions(worker, "nowhere")
        assert worker.stop() == 0


def test_worker_goes_on_after_redis_forgot_everything(tmp_path: Path) -> None:
    with start_redis() as server, at_work(server, tmp_path) as (worker, send):
        send(poll("until-before"))
        send(poll("forgotten"))
        worker.wait_for("task begins", camera="until-before")
        server.kill()
        server.start()
        with administering(server) as redis:
            assert redis.dbsize() == 0 or not redis.exists("capture")
        worker.open_gate("until-before")
        send(poll("after"))
        worker.wait_for("task ends", camera="after")
        assert not executions(worker, "forgotten")
        with administering(server) as redis:
            redis.flushall()
        send(poll("after-flush"))
        worker.wait_for("task ends", camera="after-flush")
        assert worker.stop() == 0


def let_time_out(redis: Any, by: Any) -> None:
    """Make what is noted as in hand so old that it is to be delivered again."""
    for message in redis.zrange(NOTED, 0, -1):
        by.zadd(NOTED, {message: 0})


@contextmanager
def full(server: Server, is_overdue: bool = False) -> Iterator[Any]:
    """`is_overdue`: what is in hand, from the same moment on."""
    with administering(server) as redis, redis.pipeline() as at_once:
        if is_overdue:
            let_time_out(redis, by=at_once)
        at_once.config_set("maxmemory", 1000)
        at_once.execute()
        yield redis
        redis.config_set("maxmemory", 0)


def test_full_redis_loses_nothing_and_is_emptied_by_work(tmp_path: Path) -> None:
    with start_redis() as server, at_work(server, tmp_path) as (worker, send):
        names = ["until-a", *(f"waiting-{n}" for n in range(5))]
        for name in names:
            send(poll(name))
        worker.wait_for("task begins", camera="until-a")
        with full(server) as redis:
            assert redis.llen("capture") == 5
            with pytest.raises(BrokerError):
                send(poll("refused"))
            worker.open_gate("until-a")
            worker.wait_for("message in hand is not noted")
            worker.wait_for("task ends", count=6)
            assert redis.llen("capture") == 0
        send(poll("after"))
        worker.wait_for("task ends", camera="after")
        time.sleep(RESTORE_EVERY_S + 2)  # what the worker would bring again is noted by then
        wait_until_nothing_comes_again(server)
        assert [executions(worker, name) for name in names] == [[False]] * 6
        assert worker.stop() == 0


def test_retry_that_a_full_redis_refuses_comes_again(tmp_path: Path) -> None:
    """The message was noted before Redis was full, and comes again only when it no longer is."""
    with start_redis() as server, at_work(server, tmp_path) as (worker, send):
        send(poll("fail-a"))
        worker.wait_for("task begins", camera="fail-a")
        assert in_hand(server) == 1
        with full(server, is_overdue=True):
            worker.open_gate("fail-a")
            worker.wait_for("retry not taken: its message comes again")
            time.sleep(RESTORE_EVERY_S + 2)
            assert executions(worker, "fail-a") == [False]
            assert in_hand(server) == 1
        worker.wait_for("task ends", camera="fail-a", outcome="done")
        assert executions(worker, "fail-a") == [False, True]
        wait_until_nothing_comes_again(server)
        assert worker.stop() == 0


def test_retry_of_a_message_that_a_full_redis_never_noted_comes_again(tmp_path: Path) -> None:
    with start_redis() as server, at_work(server, tmp_path) as (worker, send):
        send(poll("until-before"))
        send(poll("fail-a"))
        worker.wait_for("task begins", camera="until-before")
        worker.open_gate("fail-a")
        with full(server) as redis:
            worker.open_gate("until-before")
            worker.wait_for("message in hand is not noted")
            worker.wait_for("retry not taken: its message comes again")
            assert redis.llen("capture") == 0
        wait_until(lambda: in_hand(server) == 1, 30, "noted at last")
        with administering(server) as redis:
            let_time_out(redis, by=redis)
        worker.wait_for("task ends", camera="fail-a", outcome="done")
        assert len(executions(worker, "fail-a")) == 2
        wait_until_nothing_comes_again(server)
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
        send(poll("until-in-hand"))
        worker.wait_for("task begins", camera="until-in-hand")
        server.pause()
        began = time.monotonic()
        with pytest.raises(BrokerError) as told:
            send(poll("unheard"))
        assert "timeout" in repr(told.value.__cause__).lower()
        assert time.monotonic() - began < 30
        worker.open_gate("until-in-hand")
        worker.wait_for("message is not acknowledged yet")
        server.resume()
        send(poll("after"))
        worker.wait_for("task ends", camera="after")
        wait_until(lambda: in_hand(server) == 0, 30, "acknowledged at last")
        assert worker.stop() == 0
