"""Sending a message where routes.py says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from celery import Celery
from kombu import Exchange, Queue
from kombu.exceptions import KombuError, OperationalError

from pipeline.errors import BrokerError
from pipeline.messages import Message
from pipeline.routes import route_of

Publish = Callable[[Message], None]


def queue_of(name: str, **options: Any) -> Any:
    """A kombu Queue that is its list alone: without an exchange there is no binding, which a wiped
    broker would have forgotten."""
    return Queue(name, exchange=Exchange(""), routing_key=name, **options)


def publisher(app: Celery) -> Publish:
    """A function that sends a message where routes.py says; BrokerError when it was not taken."""

    def publish(message: Message) -> None:
        route = route_of(type(message))
        if route is None:
            return
        with sent_or_broker_error(type(message).__name__):
            app.send_task(
                route.task,
                kwargs={"message": message.model_dump(mode="json")},
                queue=queue_of(route.queue),
                declare=[],  # declaring asks for the list's length, which a sender may not know
                expires=route.expires_s,
            )

    return publish


def is_refusal(error: BrokerError) -> bool:
    """Whether the broker answered, but does not know this user by this password."""
    causes: list[BaseException] = [error]
    while causes[-1].__cause__ is not None:
        causes.append(causes[-1].__cause__)
    # By its name: redis is not installed everywhere.
    return any(type(one).__name__ == "AuthenticationError" for one in causes)


@contextmanager
def sent_or_broker_error(what: str) -> Iterator[None]:
    try:
        yield
    except (KombuError, OperationalError, OSError) as error:
        raise BrokerError(f"the broker did not take {what}") from error
