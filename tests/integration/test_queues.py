"""How much waits, as Redis tells it to users with more rights and fewer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from redis import Redis

from pipeline.broker import Handlers, make_app, publisher
from pipeline.errors import BrokerError
from pipeline.messages import DeleteImage
from pipeline.queues import queue_depths
from tests.servers import Server, start_redis

pytestmark = pytest.mark.integration

QUEUES = ["scheduler", "maintenance"]


@pytest.fixture
def server() -> Iterator[Server]:
    """Its own: the test makes users."""
    with start_redis() as started:
        yield started


def test_messages_that_wait_are_counted_and_stay(server: Server) -> None:
    send = publisher(make_app("cli", server.url, Handlers[None](), lambda publish: None))
    for number in range(3):
        send(DeleteImage(image=f"quai-{number}"))
    expected = {"scheduler": 0, "maintenance": 3}
    assert [queue_depths(server.url, QUEUES) for _ in range(2)] == [expected, expected]


def test_queue_that_is_not_ours_to_see_is_told_apart_from_an_empty_one(server: Server) -> None:
    with Redis.from_url(server.url) as redis:
        redis.execute_command(
            *("ACL", "SETUSER", "reader", "on", ">word", "resetkeys"),
            *("%R~scheduler", "-@all", "+llen", "+hello", "+auth", "+client|setinfo"),
        )
    url = server.url_of("reader", "word")
    assert queue_depths(url, QUEUES) == {"scheduler": 0, "maintenance": None}


def test_broker_that_does_not_know_us_says_so(server: Server) -> None:
    with pytest.raises(BrokerError, match="invalid username-password pair"):
        queue_depths(server.url_of("cli", "wrong"), QUEUES)
