"""What must be closed is closed: ports, credentials, root. On a stack as a newcomer has it."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import closing
from itertools import product
from pathlib import Path
from typing import Any

import psycopg
import pytest
from minio import Minio, MinioAdmin
from minio.credentials.providers import StaticProvider
from minio.error import MinioAdminException, S3Error
from redis import Redis
from redis.exceptions import AuthenticationError, NoPermissionError

from infra.init.grants import ROLES
from infra.init.label_studio import DATABASE
from infra.init.passwords import LABEL_STUDIO
from infra.init.rights import BUCKETS, RIGHTS, SCHEMA, TABLES
from pipeline.errors import StorageDenied
from pipeline.routes import SENDERS
from pipeline.storage import ObjectStore, StoredObject, open_store
from tests.e2e.stack import Stack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]  # building images, the first time

PUBLISHED = {("object-store", "9001/tcp"), ("label-studio", "8080/tcp")}
PORTS = {"broker": 6379, "object-store": 9000, "catalog": 5432, "label-studio": 8080}
PROBE = "probe/one"
VERBS = ("list", "get", "put", "delete")
PRIVILEGES = ("select", "insert", "update", "delete", "truncate")
WRONG = "wrong"


def services(stack: Stack) -> dict[str, Any]:
    """The containers that run."""
    found = stack.engine.containers.list(
        filters={"label": f"com.docker.compose.project={stack.project}"}
    )
    return {one.labels["com.docker.compose.service"]: one for one in found}


def addresses_of_this_machine(stack: Stack) -> set[str]:
    """Those that others reach it by: the gateways of the stack's networks, and its way out."""
    found = set()
    for network in stack.engine.networks.list(filters={"name": stack.project}):
        network.reload()
        found |= {one["Gateway"] for one in network.attrs["IPAM"]["Config"] if "Gateway" in one}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
            found.add(probe.getsockname()[0])
        except OSError:
            pass
    return found


def answers(address: str, port: int) -> bool:
    try:
        with socket.create_connection((address, port), timeout=2):
            return True
    except OSError:
        return False


def status_of(pid: str) -> dict[str, str] | None:
    """None for one that has ended meanwhile, as a health check's does."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def processes(container: Any) -> list[str]:
    """As this machine numbers them."""
    return [process[1] for process in container.top()["Processes"]]


def test_only_loopback_ports_are_published(stack: Stack) -> None:
    published = {
        (service, port, bound["HostIp"])
        for service, container in services(stack).items()
        for port, bindings in container.attrs["NetworkSettings"]["Ports"].items()
        for bound in bindings or ()
    }
    assert published == {(service, port, "127.0.0.1") for service, port in PUBLISHED}


def test_no_port_is_reachable_beyond_loopback(stack: Stack) -> None:
    published = (stack.console_port, stack.label_studio_port)
    assert all(answers("127.0.0.1", port) for port in published)
    elsewhere = addresses_of_this_machine(stack)
    assert elsewhere
    for address, port in product(elsewhere, (*published, *PORTS.values())):
        assert not answers(address, port), f"{address}:{port} answers"


@pytest.mark.parametrize("user", RIGHTS)
def test_credential_opens_its_own_buckets_alone(stack: Stack, user: str) -> None:
    upkeep, store = stack.store(), open_store(stack.store_url(user))
    for bucket in BUCKETS:
        upkeep.put(f"{bucket}/{PROBE}", StoredObject(b"probe", "text/plain"))
    try:
        found = {
            (bucket, verb)
            for bucket, verb in product(BUCKETS, VERBS)
            if is_allowed(store, bucket, verb)
        }
    finally:
        for bucket in BUCKETS:
            upkeep.delete(f"{bucket}/{PROBE}")
            upkeep.delete(f"{bucket}/probe/{user}")
    rights = RIGHTS[user].buckets
    assert found == {(bucket, verb) for bucket in rights for verb in rights[bucket].split()}


def is_allowed(store: ObjectStore, bucket: str, verb: str) -> bool:
    attempts: dict[str, Callable[[], object]] = {
        "list": lambda: list(store.list(f"{bucket}/")),
        "get": lambda: store.get(f"{bucket}/{PROBE}"),
        "put": lambda: store.put(f"{bucket}/{PROBE}", StoredObject(b"probe", "text/plain")),
        "delete": lambda: store.delete(f"{bucket}/probe/nothing"),
    }
    try:
        attempts[verb]()
    except StorageDenied:
        return False
    return True


@pytest.mark.parametrize("user", RIGHTS)
def test_credential_administers_nothing_in_the_store(stack: Stack, user: str) -> None:
    known = StaticProvider(user, stack.secrets()[f"{user}/password"])
    endpoint = f"{stack.address('object-store')}:9000"
    admin = MinioAdmin(endpoint=endpoint, credentials=known, region="us-east-1", secure=False)
    attempts: list[Callable[[], object]] = [
        admin.user_list,
        admin.policy_list,
        lambda: admin.user_add("intruder", "intruder-1234"),
        lambda: admin.add_service_account(access_key="intruder", secret_key="intruder-1234"),
    ]
    for attempt in attempts:
        with pytest.raises(MinioAdminException):
            attempt()
    may_ask = open_store(stack.store_url(user)).free_bytes() is not None
    assert may_ask == RIGHTS[user].free_space


@pytest.mark.parametrize("user", ROLES)
def test_credential_has_its_own_tables_alone(stack: Stack, user: str) -> None:
    with psycopg.connect(stack.catalog_url(user).replace("+psycopg", "")) as connection:
        rows = connection.execute(
            "SELECT tablename, verb FROM pg_tables, unnest(%s::text[]) verb"
            " WHERE schemaname = 'public' AND has_table_privilege(tablename::text, verb)",
            [list(PRIVILEGES)],
        ).fetchall()
        super_powers = connection.execute(
            "SELECT rolsuper OR rolcreatedb OR rolcreaterole OR rolbypassrls OR rolreplication"
            " FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
    rights = RIGHTS[user].tables
    wanted = {(table, verb) for table in rights for verb in rights[table].split()}
    assert set(rows) == wanted | {(SCHEMA, "select")}
    assert super_powers == (False,)
    assert set(rights) <= set(TABLES)


def test_label_studio_has_its_own_database_alone_and_nobody_else_has(stack: Stack) -> None:
    own = stack.catalog_url(LABEL_STUDIO).replace("+psycopg", "").removesuffix("traboule")
    with psycopg.connect(f"{own}{DATABASE}") as connection:
        row = connection.execute(
            "SELECT rolsuper OR rolcreatedb OR rolcreaterole OR rolbypassrls OR rolreplication"
            " FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
        assert row == (False,)
        assert connection.execute("SELECT count(*) > 0 FROM htx_user").fetchone() == (True,)
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(f"{own}traboule")
    for user in ROLES:
        theirs = stack.catalog_url(user).replace("+psycopg", "").removesuffix("traboule")
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            psycopg.connect(f"{theirs}{DATABASE}")


@pytest.mark.parametrize("user", RIGHTS.keys() & SENDERS.keys())
def test_credential_neither_empties_nor_configures_the_broker(stack: Stack, user: str) -> None:
    password = stack.secrets()[f"{user}/password"]
    with closing(
        Redis(host=stack.address("broker"), username=user, password=password, socket_timeout=10)
    ) as redis:
        assert redis.ping()
        for command in ("FLUSHALL", "CONFIG GET maxmemory", "KEYS *", "ACL LIST", "SHUTDOWN"):
            with pytest.raises(NoPermissionError):
                redis.execute_command(*command.split())  # type: ignore[no-untyped-call]


def test_broker_refuses_a_client_without_password(stack: Stack) -> None:
    host = stack.address("broker")
    for login in ({}, {"password": WRONG}, {"username": "capture", "password": WRONG}):
        redis = Redis(host=host, socket_timeout=10, **login)  # type: ignore[arg-type]
        with closing(redis), pytest.raises(AuthenticationError):
            redis.ping()


@pytest.mark.parametrize("user", ["traboule", "postgres", "capture"])
@pytest.mark.parametrize("password", ["", WRONG])
def test_catalog_refuses_a_client_without_password(stack: Stack, user: str, password: str) -> None:
    with pytest.raises(psycopg.OperationalError, match=r"password|does not exist"):
        psycopg.connect(
            host=stack.address("catalog"),
            user=user,
            password=password or None,
            dbname="traboule",
            connect_timeout=10,
        )


def test_object_store_refuses_a_client_without_password(stack: Stack) -> None:
    endpoint = f"{stack.address('object-store')}:9000"
    for user, password in ((None, None), ("minioadmin", "minioadmin"), ("capture", WRONG)):
        client = Minio(endpoint, user, password, secure=False, region="us-east-1")
        with pytest.raises(S3Error, match=r"AccessDenied|InvalidAccessKeyId|SignatureDoesNotMatch"):
            list(client.list_objects("images"))


def test_no_process_is_root_or_can_become_it(stack: Stack) -> None:
    running = services(stack)
    assert {"broker", "object-store", "catalog", "capture", "detection"} <= set(running)
    for service, container in running.items():
        statuses = [status for pid in processes(container) if (status := status_of(pid))]
        assert statuses
        for status in statuses:
            pid = status["Pid"]
            assert "0" not in status["Uid"].split(), f"{service}: process {pid} is root"
            assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0, service
            assert status["NoNewPrivs"] == "1", service


def test_root_filesystem_is_read_only(stack: Stack) -> None:
    for service, container in services(stack).items():
        assert container.attrs["HostConfig"]["ReadonlyRootfs"], service
        assert not container.attrs["HostConfig"]["Privileged"], service
        mounts = Path(f"/proc/{container.attrs['State']['Pid']}/mounts").read_text().splitlines()
        (root,) = [line.split() for line in mounts if line.split()[1] == "/"]
        assert "ro" in root[3].split(","), service
