from __future__ import annotations

from typing import Any

import pytest
from celery import Celery
from kombu.exceptions import OperationalError

from pipeline.broker import Handlers, make_app, publisher
from pipeline.broker.publishing import is_refusal, queue_of, sent_or_broker_error
from pipeline.errors import BrokerError
from pipeline.messages import ImageDetected, Message, PollDue, Tick


def app_for(service: str) -> Celery:
    return make_app(service, "memory://localhost/", Handlers[None](), lambda publish: None)


def test_message_without_a_consumer_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    class Unheard(Message):
        pass

    monkeypatch.setattr("pipeline.routes.WITHOUT_CONSUMER", (Unheard,))
    sent: list[str] = []
    app = app_for("detection")
    monkeypatch.setattr(app, "send_task", lambda name, **options: sent.append(name))
    publisher(app)(Unheard())
    assert sent == []
    publisher(app)(ImageDetected(image="a"))
    assert sent == ["labeling.consider_image"]


def test_message_goes_to_its_queue_with_its_expiry(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[dict[str, Any]] = []
    app = app_for("cli")
    monkeypatch.setattr(app, "send_task", lambda name, **options: sent.append(options))
    publisher(app)(Tick())
    [options] = sent
    assert options["queue"].name == "scheduler"
    assert options["expires"] == 2
    assert options["declare"] == []


@pytest.mark.parametrize(
    "error", [OperationalError("full"), ConnectionResetError(), TimeoutError()]
)
def test_broker_that_does_not_take_it_is_a_broker_error(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error

    app = app_for("scheduler")
    monkeypatch.setattr(app, "send_task", refuse)
    with pytest.raises(BrokerError, match="PollDue"):
        publisher(app)(PollDue(camera="a", token="t"))


def test_queue_is_bound_to_no_exchange() -> None:
    queue = queue_of("capture")
    assert (queue.name, queue.routing_key, queue.exchange.name) == ("capture", "capture", "")


def test_refusal_is_told_from_absence() -> None:
    class AuthenticationError(ConnectionError):
        pass

    def failed(cause: Exception) -> BrokerError:
        with pytest.raises(BrokerError) as failure, sent_or_broker_error("it"):
            try:
                raise cause
            except ConnectionError as error:
                raise OperationalError(str(error)) from error
        return failure.value

    assert is_refusal(failed(AuthenticationError("wrong password")))
    assert not is_refusal(failed(ConnectionError("refused")))
