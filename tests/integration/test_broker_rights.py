"""Each service's user on a real Redis: a worker lives under its rules, which let it no further."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from kombu import pools

from pipeline.broker import Handlers, acl_rules, check_broker, make_app, publisher
from pipeline.errors import BrokerError
from pipeline.messages import ImageStored, Message, PollDue, RemoveCamera, Tick
from pipeline.routes import ROUTES, SENDERS, route_of
from pipeline.watchdog import STOOD_STILL
from tests.integration.worker_process import WorkerOptions, running
from tests.servers import Server, start_redis

pytestmark = pytest.mark.integration

SERVICES = sorted({route.queue for route in ROUTES})


@pytest.fixture(scope="module")
def guarded() -> Iterator[Server]:
    """A Redis that knows the services, and nobody else but the administrator."""
    with start_redis() as server:
        with connected(server.url) as redis:
            for service in SENDERS:
                rules = acl_rules(service).split()
                redis.execute_command(
                    "ACL", "SETUSER", service, "reset", "on", f">{service}-pw", *rules
                )
        yield server


@contextmanager
def connected(url: str) -> Iterator[Any]:
    import redis

    with redis.Redis.from_url(url, decode_responses=True) as client:
        yield client


def url_of(server: Server, service: str) -> str:
    return server.url_of(service, f"{service}-pw")


def send(server: Server, service: str, message: Message) -> None:
    url = url_of(server, service)
    try:
        with make_app(service, url, Handlers[None](), lambda publish: None) as app:
            publisher(app)(message)
    finally:
        pools.reset()


def may(client: Any, *command: str) -> bool:
    from redis.exceptions import NoPermissionError

    try:
        client.execute_command(*command)
    except NoPermissionError:
        return False
    return True


def test_workers_need_no_more_than_their_rules(guarded: Server, tmp_path: Path) -> None:
    """Received and sent on, killed in mid-task and restored, ticked and stopped."""
    with connected(guarded.url) as redis:
        redis.script_flush()
        redis.acl_log_reset()
        url = url_of(guarded, "capture")
        hung = WorkerOptions(url, name="a", limits={"task_s": 10.0})
        with running(hung, tmp_path) as worker:
            send(guarded, "scheduler", PollDue(camera="send-x", token="t"))
            send(guarded, "scheduler", PollDue(camera="until-never", token="t"))
            worker.wait_for("task begins", camera="until-never")
            worker.watchdog.wait(60)
        assert redis.llen("detection") == 1
        with running(WorkerOptions(url, name="b", visibility_timeout_s=3), tmp_path) as worker:
            worker.wait_for("task begins", camera="until-never", redelivered=True)
        options = WorkerOptions(url_of(guarded, "scheduler"), "scheduler", name="c", beat=True)
        with running(options, tmp_path) as worker:
            worker.wait_until_ready()
            assert worker.stop() == 0
        send(guarded, "cli", RemoveCamera(camera="quai"))
        assert redis.acl_log() == []


@pytest.mark.parametrize("service", SENDERS)
def test_service_sends_what_routes_say_and_nothing_else(guarded: Server, service: str) -> None:
    sent = {route.queue for one in SENDERS[service] if (route := route_of(one)) is not None}
    with connected(url_of(guarded, service)) as client:
        may_send_to = {queue for queue in SERVICES if may(client, "LPUSH", queue, "{}")}
    with connected(guarded.url) as redis:
        redis.flushall()
    assert may_send_to == sent | ({service} & set(SERVICES))


@pytest.mark.parametrize("service", SENDERS)
def test_service_takes_and_reads_its_own_alone(guarded: Server, service: str) -> None:
    with connected(url_of(guarded, service)) as client:
        for other in SERVICES:
            own = other == service
            assert may(client, "BRPOP", other, "0.01") == own
            assert may(client, "LLEN", other) == (own or service == "cli")
            assert may(client, "HGET", f"{other}.unacked", "x") == own
            assert may(client, "HDEL", f"{other}.unacked", "x") == own


@pytest.mark.parametrize(
    "command",
    [
        ("KEYS", "*"),
        ("FLUSHALL",),
        ("CONFIG", "GET", "*"),
        ("ACL", "LIST"),
        ("CLIENT", "LIST"),
        ("MONITOR",),
        ("EVAL", "return 1", "0"),
        ("SUBSCRIBE", "a"),
        ("PUBLISH", "a", "b"),
        ("DEL", "detection"),
    ],
    ids=lambda command: command[0],
)
def test_service_has_no_other_command(guarded: Server, command: tuple[str, ...]) -> None:
    with connected(url_of(guarded, "capture")) as client:
        assert not may(client, *command)


def test_broker_is_checked_with_the_services_own_password(guarded: Server) -> None:
    check_broker(url_of(guarded, "capture"))
    for url in (guarded.url_of("capture", "wrong"), guarded.url_of("nobody", "capture-pw")):
        with pytest.raises(BrokerError):
            check_broker(url)


def test_worker_whose_password_is_no_longer_good_ends(guarded: Server, tmp_path: Path) -> None:
    options = WorkerOptions(url_of(guarded, "capture"), name="d", limits={"stale_s": 10.0})
    with running(options, tmp_path) as worker, connected(guarded.url) as redis:
        worker.wait_until_ready()
        redis.execute_command("ACL", "SETUSER", "capture", "resetpass", ">another")
        try:
            redis.execute_command("CLIENT", "KILL", "USER", "capture")
            assert worker.watchdog.wait(60) == STOOD_STILL
        finally:
            redis.execute_command("ACL", "SETUSER", "capture", ">capture-pw")
        worker.wait_for("the broker takes no heartbeat")


def test_message_to_another_is_a_broker_error(guarded: Server) -> None:
    with pytest.raises(BrokerError):
        send(guarded, "capture", Tick())
    send(guarded, "capture", ImageStored(image="x"))


def test_cli_sees_how_much_waits_and_no_message(guarded: Server) -> None:
    send(guarded, "scheduler", PollDue(camera="quai", token="t"))
    with connected(url_of(guarded, "cli")) as cli:
        assert cli.llen("capture") >= 1
        assert not may(cli, "LRANGE", "capture", "0", "-1")
        assert not may(cli, "LLEN", "capture.unacked_index")
