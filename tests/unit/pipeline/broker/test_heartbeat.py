from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery, signals
from celery.worker import state
from kombu.exceptions import OperationalError
from structlog.testing import capture_logs

from pipeline.broker import Handlers, make_app
from pipeline.broker.heartbeat import Heart, WatchedScheduler, follow_tasks
from pipeline.vitals import Vitals


class Clock:
    now = 100.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


@pytest.fixture
def app() -> Celery:
    return make_app("capture", "memory://localhost/", Handlers[None](), lambda publish: None)


@pytest.fixture
def told_to_stop() -> Iterator[None]:
    """So that the heart beats not even once more."""
    state.should_stop = 0  # type: ignore[assignment]
    yield
    state.should_stop = None


def test_it_listens_on_a_queue_of_its_own_that_nobody_acknowledges(app: Celery) -> None:
    Heart(app, Vitals(Clock()))
    [own, heartbeat] = app.amqp.queues.consume_from.values()
    assert own.name == "capture"
    assert heartbeat.name.startswith("capture.heartbeat.")
    assert heartbeat.no_ack
    assert heartbeat.exchange.name == ""


def test_heartbeat_carried_out_shows_that_the_worker_is_ready(app: Celery) -> None:
    vitals = Vitals(Clock())
    Heart(app, vitals)
    app.tasks["capture.heartbeat"].apply()
    assert vitals.is_ready


def test_heartbeat_is_sent_to_a_queue_that_expires(
    app: Celery, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[dict[str, Any]] = []
    monkeypatch.setattr(app, "send_task", lambda name, **options: sent.append(options))
    heart = Heart(app, Vitals(Clock()))
    heart.send()
    [options] = sent
    assert options["queue"].expires == options["expires"] == 60
    assert not options["queue"].no_ack


def test_broker_that_is_away_is_nobodys_fault_and_said_once(
    app: Celery, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OperationalError("away")

    vitals = Vitals(Clock())
    heart = Heart(app, vitals)
    before = vitals.pulse_at
    with capture_logs() as lines:
        monkeypatch.setattr(app, "send_task", refuse)
        heart.send()
        heart.send()
        monkeypatch.setattr(app, "send_task", lambda *_, **__: None)
        heart.send()
    assert vitals.pulse_at > before
    assert [line["event"] for line in lines] == [
        "the broker takes no heartbeat",
        "the broker takes heartbeats again",
    ]


def test_password_that_is_no_longer_good_is_no_excuse(
    app: Celery, monkeypatch: pytest.MonkeyPatch
) -> None:
    class AuthenticationError(ConnectionError):
        pass

    def refuse(*_: object, **__: object) -> None:
        raise OperationalError("wrong password") from AuthenticationError()

    vitals = Vitals(Clock())
    heart = Heart(app, vitals)
    before = vitals.pulse_at
    monkeypatch.setattr(app, "send_task", refuse)
    heart.send()
    assert vitals.pulse_at == before


def test_heart_stops_when_the_worker_is_told_to(
    app: Celery, told_to_stop: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "send_task", lambda *_, **__: pytest.fail("sent"))
    Heart(app, Vitals(Clock())).beat()


def test_tasks_are_followed_from_begin_to_end() -> None:
    receivers = signals.task_prerun.receivers[:], signals.task_postrun.receivers[:]
    vitals = Vitals(Clock())
    follow_tasks(vitals)
    try:
        signals.task_prerun.send(sender=None, task_id="a")
        assert vitals.oldest_task_at > 0
        signals.task_postrun.send(sender=None, task_id="a")
        assert vitals.oldest_task_at == 0
        # It comes again while its first thread hangs, and another thread ends it.
        signals.task_prerun.send(sender=None, task_id="a")
        hanging_since = vitals.oldest_task_at
        again = threading.Thread(target=_begin_and_end, args=("a",))
        again.start()
        again.join()
        assert vitals.oldest_task_at == hanging_since > 0
    finally:
        signals.task_prerun.receivers[:], signals.task_postrun.receivers[:] = receivers


def _begin_and_end(task_id: str) -> None:
    signals.task_prerun.send(sender=None, task_id=task_id)
    signals.task_postrun.send(sender=None, task_id=task_id)


def test_beat_shows_every_tick(app: Celery) -> None:
    vitals = Vitals(Clock())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("celery.beat.Scheduler.tick", lambda self: 1.0)
        scheduler = WatchedScheduler(vitals, os.getpid(), app=app, lazy=True)
        assert vitals.beat_at == 0
        assert scheduler.tick() == 1.0
    assert vitals.beat_at > 0
