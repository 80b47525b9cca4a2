from __future__ import annotations

import pytest

from pipeline.broker.transport import transport_of, transport_options

REDIS = "redis://capture:secret@broker:6379/0"


@pytest.mark.parametrize("url", [REDIS, REDIS.replace("redis:", "rediss:")])
def test_service_has_keys_of_its_own(url: str) -> None:
    options = transport_options("capture", url)
    keys = {options["unacked_key"], options["unacked_index_key"], options["unacked_mutex_key"]}
    assert keys == {"capture.unacked", "capture.unacked_index", "capture.unacked_mutex"}
    assert options["priority_steps"] == [0]
    assert transport_of(url) is not None


def test_message_of_a_dead_worker_is_back_within_75_seconds() -> None:
    options = transport_options("capture", REDIS)
    every_s = options["unacked_restore_interval"] * options["unacked_restore_throttle"]
    held_by_another_dead_one_s = options["unacked_mutex_expire"]
    assert options["visibility_timeout"] + every_s + held_by_another_dead_one_s <= 75
    assert options["visibility_timeout"] >= 30 + 8  # a task's deadline, and its longest pause


def test_nothing_waits_for_ever_for_redis() -> None:
    options = transport_options("capture", REDIS)
    for name in ("socket_timeout", "socket_connect_timeout", "connect_retries_timeout"):
        assert 0 < options[name] <= 5
    assert options["max_retries"] <= 1
    assert not options.get("retry_on_timeout")


def test_memory_is_looked_at_often_and_others_are_left_as_they_are() -> None:
    assert transport_options("capture", "memory://localhost/") == {"polling_interval": 0.02}
    assert transport_options("capture", "filesystem://localhost/") == {}
    assert transport_of("memory://localhost/") is None
