"""How much waits in the broker's queues: for whoever looks on, and takes nothing out."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import NoPermissionError, RedisError
from redis.retry import Retry

from pipeline.errors import BrokerError

ANSWERS_WITHIN_S = 5.0


def queue_depths(broker_url: str, queues: Sequence[str]) -> dict[str, int | None]:
    """Queue to how many messages wait in it; None where this user may not look.

    A queue of Celery's is a list by its name. BrokerError when Redis does not answer, or does not
    know us, or is no Redis.
    """
    try:
        client = Redis.from_url(
            broker_url,
            socket_timeout=ANSWERS_WITHIN_S,
            socket_connect_timeout=ANSWERS_WITHIN_S,
            retry=Retry(NoBackoff(), 0),
        )
    except ValueError as error:  # which repeats no address
        raise BrokerError(f"not an address of Redis: {error}") from error
    try:
        with closing(client):
            return {queue: _count(client, queue) for queue in queues}
    except RedisError as error:
        raise BrokerError(str(error)) from error


def _count(client: Redis, queue: str) -> int | None:
    try:
        return int(client.llen(queue))
    except NoPermissionError:
        return None
