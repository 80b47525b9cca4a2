"""What each service may do on Redis: its own queue's keys, and sending what routes.py says.

Found with MONITOR on Redis 8 (kombu 5.7, redis-py 8.1) and tried under such a user: see
tests/integration/test_broker_rights.py.

    everybody   HELLO AUTH PING CLIENT|SETINFO      connecting, health checks
    sender      LPUSH to the queue of what it sends
    cli         LLEN of every queue                 for doctor
    worker      BRPOP LPUSH RPUSH LLEN              its queue: taken, sent again later, restored
                ZADD HSET ZREM HDEL HGET ZRANGE     messages in hand: <service>.unacked[_index]
                SET GET DEL EVALSHA SCRIPT|LOAD     one at a time restores: <service>.unacked_mutex
                LPUSH PEXPIRE BRPOP LLEN            <service>.heartbeat.<worker>
                MULTI EXEC WATCH UNWATCH DISCARD

No channel, no other command, and no key of another service's.
"""

from __future__ import annotations

from pipeline.routes import ROUTES, SENDERS, route_of

_CONNECTING = "+hello +auth +ping +select +client|setinfo +client|setname"
_CONSUMING = (
    "+brpop +lpush +rpush +llen +zadd +hset +zrem +hdel +hget +zrange +pexpire "
    "+set +get +del +evalsha +script|load +multi +exec +watch +unwatch +discard"
)

_LOOK_ON = frozenset({"cli"})  # may see how much waits, and no message


def acl_rules(service: str) -> str:
    """The rules of a user in Redis's ACL, after `on` and its password; for a line of an ACL file,
    or split at its spaces for ACL SETUSER. The default user and administrators are not ours."""
    rules = ["resetkeys", "resetchannels", "-@all", _CONNECTING]
    queues = {route.queue for route in ROUTES}
    if service in queues:
        rules += [f"~{service}", f"~{service}.*", _CONSUMING]
    sent = [route.queue for message in SENDERS[service] if (route := route_of(message))]
    # In brackets, a selector: of these keys nothing but that, not even their deletion.
    rules += [f"(%W~{queue} +lpush)" for queue in sorted(set(sent) - {service})]
    if service in _LOOK_ON:
        rules += [f"(%R~{queue} +llen)" for queue in sorted(queues)]
    return " ".join(rules)
