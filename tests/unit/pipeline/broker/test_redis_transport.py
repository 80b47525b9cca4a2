from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

redis = pytest.importorskip("redis")

from kombu.transport import virtual  # noqa: E402

from pipeline.broker.redis_transport import Channel, QoS, Transport  # noqa: E402


class FakeRedis:
    """Remembers commands; raises what it is told to instead."""

    def __init__(self) -> None:
        self.done: list[tuple[Any, ...]] = []
        self.failure: Exception | None = None
        self._queued: list[tuple[Any, ...]] = []

    def pipeline(self) -> FakeRedis:
        return self

    def __getattr__(self, name: str) -> Any:
        def queue(*arguments: Any) -> FakeRedis:
            self._queued.append((name, *arguments))
            return self

        return queue

    def execute(self) -> None:
        queued, self._queued = self._queued, []
        if self.failure is not None:
            raise self.failure
        self.done += queued


class FakeChannel:
    unacked_key, unacked_index_key = "s.unacked", "s.unacked_index"
    do_restore = False
    closed = False

    def __init__(self) -> None:
        self.redis = FakeRedis()

    @contextmanager
    def conn_or_acquire(self, client: object = None) -> Iterator[FakeRedis]:
        yield self.redis


class FakeMessage:
    delivery_info = {"exchange": "", "routing_key": "s"}  # noqa: RUF012
    _raw: dict[str, str] = {}  # noqa: RUF012


@pytest.fixture
def channel() -> Iterator[FakeChannel]:
    yield FakeChannel()
    QoS.owed.clear()
    QoS.unnoted.clear()


def take(qos: QoS, tag: str) -> None:
    qos.append(FakeMessage(), tag)


@pytest.fixture
def qos(channel: FakeChannel, monkeypatch: pytest.MonkeyPatch) -> QoS:
    monkeypatch.setattr(
        "kombu.transport.redis.QoS.restore_visible", lambda *_, **__: None, raising=True
    )
    return QoS(channel, prefetch_count=1)


def test_message_that_redis_does_not_note_is_kept_in_hand(qos: QoS, channel: FakeChannel) -> None:
    channel.redis.failure = redis.exceptions.OutOfMemoryError("full")
    take(qos, "a")
    assert not qos.can_consume()
    channel.redis.failure = None
    qos.ack("a")
    assert qos.can_consume()


@pytest.mark.parametrize(
    "failure", [redis.exceptions.TimeoutError("hangs"), redis.exceptions.ConnectionError("gone")]
)
def test_failed_acknowledgement_frees_its_slot_and_is_made_up_for(
    failure: Exception, qos: QoS, channel: FakeChannel
) -> None:
    take(qos, "a")
    channel.redis.failure = failure
    qos.ack("a")
    assert qos.can_consume()
    with pytest.raises(type(failure)):
        qos.restore_visible()
    channel.redis.failure = None
    channel.redis.done.clear()
    qos.restore_visible()
    assert channel.redis.done == [("zrem", "s.unacked_index", "a"), ("hdel", "s.unacked", "a")]
    qos.restore_visible()
    assert len(channel.redis.done) == 2


def test_acknowledgement_after_the_connection_was_lost_is_made_up_for_by_the_next(
    qos: QoS, channel: FakeChannel
) -> None:
    take(qos, "a")
    channel.closed = True
    qos.ack("a")
    after = FakeChannel()
    QoS(after).restore_visible()
    assert ("hdel", "s.unacked", "a") in after.redis.done


def test_acknowledgement_that_nobody_waits_for_makes_no_room(
    qos: QoS, channel: FakeChannel
) -> None:
    take(qos, "a")
    qos.ack("heartbeat")
    assert not qos.can_consume()


def test_message_that_is_to_come_again_stays_unacknowledged(qos: QoS, channel: FakeChannel) -> None:
    take(qos, "a")
    channel.redis.done.clear()
    qos.reject("a", requeue=True)
    assert qos.can_consume()
    qos.restore_visible()
    assert channel.redis.done == [], "Redis has noted it, and brings it in its time"


def test_message_that_is_to_come_again_is_noted_when_there_is_room(
    qos: QoS, channel: FakeChannel
) -> None:
    channel.redis.failure = redis.exceptions.OutOfMemoryError("full")
    take(qos, "a")
    qos.reject("a", requeue=True)
    assert qos.can_consume()
    qos.restore_visible()
    assert channel.redis.done == []
    channel.redis.failure = None
    qos.restore_visible()
    [(index, _, scores), noted] = channel.redis.done
    assert (index, list(scores)) == ("zadd", ["a"])
    assert noted == ("hset", "s.unacked", "a", '[{}, "", "s"]')
    qos.restore_visible()
    assert len(channel.redis.done) == 2


def test_message_that_was_not_noted_and_is_done_does_not_come_again(
    qos: QoS, channel: FakeChannel
) -> None:
    channel.redis.failure = redis.exceptions.OutOfMemoryError("full")
    take(qos, "a")
    channel.redis.failure = None
    qos.ack("a")
    qos.reject("a", requeue=True)
    channel.redis.done.clear()
    qos.restore_visible()
    assert channel.redis.done == []


def test_message_that_is_not_to_come_again_is_acknowledged(qos: QoS, channel: FakeChannel) -> None:
    take(qos, "a")
    qos.reject("a")
    assert qos.can_consume()
    assert channel.redis.done[-1] == ("hdel", "s.unacked", "a")


@pytest.mark.parametrize("requeue", [True, False])
def test_rejection_that_nobody_waits_for_makes_no_room(qos: QoS, requeue: bool) -> None:
    take(qos, "a")
    qos.reject("heartbeat", requeue=requeue)
    assert not qos.can_consume()


@pytest.mark.parametrize(
    "failure",
    [redis.exceptions.OutOfMemoryError("full"), redis.exceptions.ExecAbortError("full")],
)
def test_full_redis_does_not_stop_the_worker_that_looks_for_lost_messages(
    failure: Exception, channel: FakeChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise failure

    monkeypatch.setattr("kombu.transport.redis.QoS.restore_visible", refuse)
    QoS(channel).restore_visible()


def test_transport_uses_it() -> None:
    assert Transport.Channel is Channel
    assert Channel.QoS is QoS
    assert issubclass(QoS, virtual.QoS)
