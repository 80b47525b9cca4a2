from __future__ import annotations

from typing import Any

import pytest

from pipeline import messages
from pipeline.broker import Handlers, make_app
from pipeline.messages import Message
from pipeline.routes import BEATS, ROUTES, SENDERS, WITHOUT_CONSUMER, route_of
from services.capture import tasks as capture
from services.detection import tasks as detection
from services.labeling import tasks as labeling
from services.maintenance import tasks as maintenance
from services.scheduler import tasks as scheduler

HANDLERS: dict[str, Handlers[Any]] = {
    "scheduler": scheduler.handlers,
    "capture": capture.handlers,
    "detection": detection.handlers,
    "maintenance": maintenance.handlers,
    "labeling": labeling.handlers,
}


def every_message() -> set[type[Message]]:
    return {
        one
        for one in vars(messages).values()
        if isinstance(one, type) and issubclass(one, Message) and one is not Message
    }


def test_every_message_has_a_route_or_is_known_to_have_no_consumer() -> None:
    routed = {route.message for route in ROUTES}
    assert routed | set(WITHOUT_CONSUMER) == every_message()
    assert not routed & set(WITHOUT_CONSUMER)


def test_every_route_has_one_handler_in_the_service_of_its_queue() -> None:
    handled = {
        (service, handler.message) for service in HANDLERS for handler in HANDLERS[service].all
    }
    assert handled == {(route.queue, route.message) for route in ROUTES}


def test_commands_alone_are_tried_for_as_long_as_it_takes() -> None:
    assert {route.message for route in ROUTES if route.patient} == set(SENDERS["cli"])
    app = make_app(
        "maintenance", "memory://localhost/", HANDLERS["maintenance"], lambda publish: None
    )
    assert app.tasks["maintenance.delete_image"].max_retries is None
    assert app.tasks["maintenance.sweep"].max_retries == 3


def test_tasks_are_named_after_their_service() -> None:
    assert all(route.task.split(".")[0] == route.queue for route in ROUTES)


def test_beat_messages_expire_before_they_pile_up() -> None:
    for beat in BEATS:
        route = route_of(type(beat.message))
        assert route is not None
        assert route.expires_s is not None
        assert route.expires_s <= 2 * beat.every_s


def test_unknown_message_is_refused() -> None:
    class Unknown(Message):
        pass

    with pytest.raises(KeyError):
        route_of(Unknown)
