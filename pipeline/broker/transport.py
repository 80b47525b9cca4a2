"""What kombu is told about a broker: its keys, its deadlines, and what to do when it is full."""

from __future__ import annotations

from typing import Any

VISIBILITY_TIMEOUT_S = 60.0
RESTORE_EVERY_S = 5.0
MUTEX_S = 10
ANSWER_WITHIN_S = 3.0
# kombu gives its channel ten connections; every thread of a pool may acknowledge at once.
MAX_CONNECTIONS = 200


def transport_of(broker_url: str) -> str | None:
    """None: the one that kombu knows by the address's scheme."""
    return "pipeline.broker.redis_transport:Transport" if _is_redis(broker_url) else None


def transport_options(
    service: str, broker_url: str, visibility_timeout_s: float = VISIBILITY_TIMEOUT_S
) -> dict[str, Any]:
    if broker_url.startswith("memory:"):
        return {"polling_interval": 0.02}  # the default of 1 s makes every message wait for it
    if not _is_redis(broker_url):
        return {}
    return {
        "visibility_timeout": visibility_timeout_s,
        # A worker looks every so often for messages that a dead one held; kombu's own pace: 100 s.
        "unacked_restore_interval": min(RESTORE_EVERY_S, visibility_timeout_s / 2),
        "unacked_restore_throttle": 1,
        "unacked_mutex_expire": MUTEX_S,  # else one killed while it looks stops the rest for 300 s
        # A service's own keys, so that it needs no right to another's.
        "unacked_key": f"{service}.unacked",
        "unacked_index_key": f"{service}.unacked_index",
        "unacked_mutex_key": f"{service}.unacked_mutex",
        "priority_steps": [0],  # one list per queue: its length is the queue's depth
        **_deadlines(),
    }


def _is_redis(broker_url: str) -> bool:
    return broker_url.startswith(("redis://", "rediss://"))


def _deadlines() -> dict[str, Any]:
    """A publisher must hear of a broker that is away, hangs or is full within seconds.

    No `retry_on_timeout`: what was taken and answered late would be sent twice.
    """
    return {
        "socket_connect_timeout": ANSWER_WITHIN_S,
        "socket_timeout": ANSWER_WITHIN_S,
        "socket_keepalive": True,
        "health_check_interval": 10,
        "max_connections": MAX_CONNECTIONS,
        "max_retries": 1,
        "interval_start": 0,
        "interval_step": 0.2,
        "interval_max": 0.2,
        "connect_retries_timeout": ANSWER_WITHIN_S,
    }
