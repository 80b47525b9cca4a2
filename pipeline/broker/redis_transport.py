"""kombu's Redis transport, made to lose nothing and to stand no longer still than Redis does.

Loaded by its name, and only where Redis is used.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any, ClassVar

from kombu.transport import redis, virtual
from kombu.utils.json import dumps
from redis.exceptions import ExecAbortError, OutOfMemoryError, RedisError

from pipeline.logs import get_logger

log = get_logger(__name__)

FAILURES = (RedisError, OSError)


class QoS(redis.QoS):
    """What this worker has in hand. Redis is told of it, but need not have taken note."""

    # Acknowledgements that Redis did not take: the process's, since every reconnection has a QoS
    # of its own.
    owed: ClassVar[set[str]] = set()
    # Messages that are to come again, and that Redis has not noted: it cannot bring them.
    unnoted: ClassVar[dict[str, Any]] = {}

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._unnoted_in_hand: set[str] = set()

    def append(self, message: Any, delivery_tag: str) -> None:
        """The message has left its list by now: kombu would drop it, where Redis is full, say."""
        try:
            super().append(message, delivery_tag)
        except FAILURES as error:
            log.warning("message in hand is not noted", reason=str(error))
            self._unnoted_in_hand.add(delivery_tag)
            virtual.QoS.append(self, message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        """A failed one is tried again later: for kombu it would fill a slot for ever.

        One too many, for a message that needs none, would count as a free slot.
        """
        if delivery_tag not in (self._delivered or ()):
            return
        self._unnoted_in_hand.discard(delivery_tag)
        try:
            if self.channel.closed:  # since its task began
                raise ConnectionError("the connection was lost")
            super().ack(delivery_tag)
        except FAILURES as error:
            log.warning("message is not acknowledged yet", reason=str(error))
            self.owed.add(delivery_tag)
            virtual.QoS.ack(self, delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """One that is to come again stays unacknowledged until its visibility times out.

        kombu would put it back at once, to fail as soon; and cannot where Redis is full.
        """
        if not requeue:
            self.ack(delivery_tag)
        elif delivery_tag in (self._delivered or ()):
            if delivery_tag in self._unnoted_in_hand:
                self._unnoted_in_hand.discard(delivery_tag)
                self.unnoted[delivery_tag] = self.get(delivery_tag)
            virtual.QoS.ack(self, delivery_tag)

    def restore_visible(self, *args: Any, **options: Any) -> None:
        """Called every few seconds. While Redis is full nothing is restored, and that is no reason
        to give up: room is made by working."""
        for tag in tuple(self.owed):
            with self.pipe_or_acquire() as pipe:
                pipe.zrem(self.unacked_index_key, tag).hdel(self.unacked_key, tag).execute()
            self.owed.discard(tag)
        with suppress(OutOfMemoryError, ExecAbortError):
            for tag, message in tuple(self.unnoted.items()):
                self._note(tag, message)
                del self.unnoted[tag]
            super().restore_visible(*args, **options)

    def _note(self, tag: str, message: Any) -> None:
        """As kombu's `append` does, of a message that is in hand no longer."""
        to = message.delivery_info
        told = dumps([message._raw, to["exchange"], to["routing_key"]])
        with self.pipe_or_acquire() as pipe:
            pipe.zadd(self.unacked_index_key, {tag: time.time()})
            pipe.hset(self.unacked_key, tag, told).execute()


class Channel(redis.Channel):
    QoS = QoS


class Transport(redis.Transport):
    Channel = Channel
