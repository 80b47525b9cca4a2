from __future__ import annotations

import pytest

from pipeline.errors import BrokerError
from pipeline.queues import queue_depths


@pytest.mark.parametrize(
    "url", ["amqp://cli:secret@broker/", "redis://cli:secret@broker:port/0", "redis://cli:s@h/x"]
)
def test_broker_that_is_no_redis_is_told_without_its_password(url: str) -> None:
    with pytest.raises(BrokerError) as told:
        queue_depths(url, ["detection"])
    assert "secret" not in str(told.value)


def test_broker_that_is_away_is_told_without_its_password() -> None:
    with pytest.raises(BrokerError) as told:
        queue_depths("redis://cli:secret@127.0.0.1:9/0", ["detection"])
    assert "Connection refused" in str(told.value)
    assert "secret" not in str(told.value)
