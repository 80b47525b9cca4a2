from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import structlog
from celery import Celery
from celery.worker import state
from kombu.transport.memory import Channel
from structlog.testing import capture_logs

from pipeline.broker import Handlers, Publish, make_app, make_worker, publisher
from pipeline.errors import TransientError
from pipeline.messages import ImageStored, Message, PollDue, SaveCamera
from pipeline.records import Camera
from tests.waiting import wait_until

MEMORY = "memory://localhost/"


@contextmanager
def working(app: Celery) -> Iterator[None]:
    worker = make_worker(app, threads=2)
    state.should_stop = None
    thread = threading.Thread(target=worker.start, daemon=True)
    thread.start()
    try:
        yield
    finally:
        state.should_stop = 0  # type: ignore[assignment]
        thread.join(60)
        state.should_stop = None
    assert not thread.is_alive()


def test_message_reaches_its_handler_with_context_and_log_fields() -> None:
    handlers: Handlers[list[Any]] = Handlers()
    seen: list[Any] = []

    @handlers.on(PollDue)
    def poll(context: list[Any], message: PollDue) -> None:
        context.append((message, structlog.contextvars.get_contextvars()))

    app = make_app("capture", MEMORY, handlers, lambda publish: seen)
    with working(app):
        publisher(app)(PollDue(camera="cwl7033", token="t"))
        wait_until(lambda: seen)
    [(message, fields)] = seen
    assert message == PollDue(camera="cwl7033", token="t")
    assert fields["camera"] == "cwl7033"
    assert fields["task"] == "capture.poll_camera"
    assert fields["task_id"]


def test_transient_error_is_retried_and_another_is_not() -> None:
    handlers: Handlers[None] = Handlers()
    runs: list[str] = []

    @handlers.on(ImageStored)
    def detect(context: None, message: ImageStored) -> None:
        runs.append(message.image)
        if message.image == "broken":
            raise ValueError("a mistake of ours")
        if runs.count(message.image) == 1:
            raise TransientError("the store is away")

    app = make_app("detection", MEMORY, handlers, lambda publish: None)
    with working(app):
        publisher(app)(ImageStored(image="broken"))
        publisher(app)(ImageStored(image="unlucky"))
        wait_until(lambda: runs.count("unlucky") == 2)
    assert runs.count("broken") == 1


def test_message_whose_retry_the_broker_refuses_comes_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    handlers: Handlers[None] = Handlers()
    runs: list[bool] = []
    refusals = [OSError("full"), OSError("still full")]

    @handlers.on(SaveCamera)
    def save(context: None, message: SaveCamera) -> None:
        runs.append(True)
        if refusals:
            monkeypatch.setattr(Channel, "_put", refuse)
            raise TransientError("the store is away")

    put = Channel._put

    def refuse(*_: object, **__: object) -> None:
        monkeypatch.setattr(Channel, "_put", put)
        raise refusals.pop()

    app = make_app("scheduler", MEMORY, handlers, lambda publish: None)
    with capture_logs() as told, working(app):
        publisher(app)(SaveCamera(camera=Camera(id="a", url="http://h/a.jpg")))
        wait_until(lambda: len(runs) == 3)
    refused = [line["reason"] for line in told if line["event"].startswith("retry not taken")]
    assert refused == ["still full", "full"]


def test_reliability_options_are_set() -> None:
    def build(publish: Publish) -> None:
        return None

    conf = make_app("capture", "redis://localhost/0", Handlers[None](), build).conf
    assert conf.task_acks_late
    assert conf.task_reject_on_worker_lost
    assert conf.worker_prefetch_multiplier == 1
    assert conf.broker_transport_options["visibility_timeout"] == 60
    assert conf.beat_max_loop_interval == 1
    assert not conf.worker_enable_remote_control


def test_beat_sends_past_every_exchange_and_without_asking() -> None:
    app = make_app("scheduler", "redis://localhost/0", Handlers[None](), lambda publish: None)
    schedule = app.conf.beat_schedule
    assert {entry["options"]["queue"].name for entry in schedule.values()} == {
        "scheduler",
        "maintenance",
        "labeling",
    }
    for entry in schedule.values():
        assert entry["options"]["declare"] == []
        assert entry["options"]["queue"].exchange.name == ""


def test_handler_without_a_queue_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Unheard(Message):
        pass

    monkeypatch.setattr("pipeline.routes.WITHOUT_CONSUMER", (Unheard,))
    handlers: Handlers[None] = Handlers()

    @handlers.on(Unheard)
    def handle(context: None, message: Unheard) -> None:
        pass

    with pytest.raises(TypeError, match="Unheard"):
        make_app("capture", MEMORY, handlers, lambda publish: None)
