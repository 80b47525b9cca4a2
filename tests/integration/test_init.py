"""Init against real servers, started with the secrets that it made: who may do what afterwards."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import LiteralString

import pytest
from minio.error import MinioAdminException, S3Error
from psycopg import errors, sql
from redis import Redis
from redis.exceptions import AuthenticationError, NoPermissionError

from infra.init.broker import USERS_FILE
from infra.init.catalog import connect
from infra.init.grants import ROLES, Connection
from infra.init.label_studio import DATABASE
from infra.init.object_store import open_client
from infra.init.passwords import LABEL_STUDIO
from infra.init.rights import BUCKETS, RIGHTS, SCHEMA, TABLES
from pipeline.errors import CatalogError, ObjectMissing, StorageDenied
from pipeline.storage import StoredObject, open_store
from pipeline.storage.s3_address import read_address
from tests.integration.init_stack import (
    PASSWORDS_QUERY,
    Stack,
    list_all,
    open_admin,
    open_database,
    start_stack,
)

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

SERVICES = tuple(RIGHTS)
SOME = StoredObject(b"{}", "application/json")
COLUMNS = {
    "cameras": "host",
    "feeds": "reason",
    "host_slots": "token",
    "images": "reason",
    "image_labels": "label",
    "drops": "reason",
    "counters": "outcome",
    "tombstones": "source",
    "labeling_tasks": "reason",
    "labeling_projects": "reason",
    "annotations": "author",
    SCHEMA: "version_num",
}
# None of them touches a row.
STATEMENTS = {
    "select": "SELECT {1} FROM {0} LIMIT 0",
    "insert": "INSERT INTO {0} ({1}) SELECT 'x' WHERE false",
    "update": "UPDATE {0} SET {1} = 'x' WHERE false",
    "delete": "DELETE FROM {0} WHERE false",
    "truncate": "TRUNCATE {0} CASCADE",
}
OTHER = LABEL_STUDIO
NEVER = ("CREATE ROLE eve", "CREATE DATABASE eve", "SELECT rolpassword FROM pg_authid")
FORBIDDEN = (
    "CREATE TABLE own (id integer)",
    "CREATE TEMPORARY TABLE own (id integer)",
    "DROP TABLE images",
    "ALTER TABLE images ADD COLUMN own integer",
    "CREATE ROLE eve",
    "ALTER ROLE traboule PASSWORD 'x'",
    "SELECT rolpassword FROM pg_authid",
    "COPY images TO PROGRAM 'cat'",
)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with start_stack(tmp_path_factory.mktemp("secrets")) as started:
        started.do("servers")
        yield started


def test_second_run_changes_nothing_and_says_so(stack: Stack) -> None:
    before = list_all(stack)
    assert stack.do("servers") == ["nothing to do"]
    assert stack.do("secrets") == ["nothing to do"]
    assert list_all(stack) == before
    assert set(before["buckets"]) == set(BUCKETS)
    assert set(before["users"]) == set(RIGHTS)
    assert before["raw expires after days"] == [2]


@pytest.mark.parametrize("bucket", BUCKETS)
@pytest.mark.parametrize("service", SERVICES)
def test_user_may_do_in_a_bucket_what_the_table_says_and_no_more(
    stack: Stack, service: str, bucket: str
) -> None:
    key = f"{bucket}/a/b.json"
    upkeep = open_store(stack.store_url("upkeep"))
    upkeep.put(key, SOME)
    store = open_store(stack.store_url(service))
    tried: dict[str, Callable[[], object]] = {
        "list": lambda: list(store.list(f"{bucket}/")),
        "get": lambda: store.get(key),
        "put": lambda: store.put(f"{key}.{service}", SOME),
        "delete": lambda: store.delete(key),
    }
    allowed = {verb for verb, do in tried.items() if is_allowed(do, StorageDenied)}
    assert allowed == set(RIGHTS[service].buckets.get(bucket, "").split())
    for entry in list(upkeep.list(f"{bucket}/a/")):
        upkeep.delete(entry.key)


@pytest.mark.parametrize("service", SERVICES)
def test_user_that_may_read_hears_what_is_missing(stack: Stack, service: str) -> None:
    store = open_store(stack.store_url(service))
    for bucket, verbs in RIGHTS[service].buckets.items():
        if "get" in verbs.split():
            assert not store.exists(f"{bucket}/nothing.json")
            with pytest.raises(ObjectMissing):
                store.get(f"{bucket}/nothing.json")


@pytest.mark.parametrize("service", SERVICES)
def test_user_may_not_administer_the_store(stack: Stack, service: str) -> None:
    url = stack.store_url(service)
    assert (open_store(url).free_bytes() is not None) == RIGHTS[service].free_space
    admin = open_admin(url)
    tried: dict[str, Callable[[], object]] = {
        "bucket": lambda: open_client(read_address(url)).make_bucket("another"),
        "users": admin.user_list,
        "user": lambda: admin.user_add("eve", "long-enough-password"),
        "keys": lambda: admin.add_service_account(access_key="eve-eve", secret_key="long-enough"),
    }
    refusals = (S3Error, MinioAdminException)
    assert [what for what, do in tried.items() if is_allowed(do, *refusals)] == []


def test_keys_that_a_user_makes_itself_would_be_found(stack: Stack) -> None:
    """The owner may: the refusals above are no accident of how the question is put."""
    admin = open_admin(stack.owner_of_store())
    admin.add_service_account(access_key="of-the-owner", secret_key="long-enough")
    admin.delete_service_account("of-the-owner")


@pytest.mark.parametrize("service", ROLES)
def test_role_may_do_to_tables_what_the_table_says_and_no_more(stack: Stack, service: str) -> None:
    expected = {table: set(RIGHTS[service].tables.get(table, "").split()) for table in TABLES} | {
        SCHEMA: {"select"}
    }
    with open_database(stack.catalog_url(service)) as connection:
        allowed = {
            table: {
                verb
                for verb, text in STATEMENTS.items()
                if is_granted(connection, fill_in(text, table))
            }
            for table in expected
        }
        assert allowed == expected
        assert [one for one in FORBIDDEN if is_granted(connection, fill_in(one, SCHEMA))] == []


def test_label_studios_database_is_its_alone_and_the_only_one(stack: Stack) -> None:
    known = {role: stack.catalog_url(role).removesuffix("traboule") for role in (*ROLES, OTHER)}
    with open_database(f"{known[OTHER]}{DATABASE}") as connection:
        connection.execute("CREATE EXTENSION pg_trgm")  # as its migrations do
        connection.execute("CREATE TABLE own (id integer)")
        connection.execute("DROP TABLE own")
        assert [one for one in NEVER if is_done(connection, one)] == []
    closed = [f"{known[OTHER]}traboule", *(f"{known[role]}{DATABASE}" for role in ROLES)]
    for url in closed:
        with pytest.raises(CatalogError, match="permission denied for database"):
            connect(url)


def test_label_studios_database_is_closed_again(stack: Stack) -> None:
    with open_database(stack.owner_of_catalog()) as connection:
        connection.execute(f"GRANT CONNECT ON DATABASE {DATABASE} TO PUBLIC")
    assert stack.do("servers") == [f"catalog: {DATABASE} closed to everybody else"]


def test_broker_refuses_who_has_no_password_or_a_wrong_one(stack: Stack) -> None:
    place = stack.settings.broker_url.rpartition("@")[2]
    for url in (f"redis://{place}", stack.broker_url("capture", "wrong")):
        with Redis.from_url(url) as redis, pytest.raises(AuthenticationError):
            redis.ping()


def test_broker_lets_the_health_check_ping_and_init_load_users(stack: Stack) -> None:
    health = stack.broker_url("health", stack.folder.get("broker/health_password"))
    with Redis.from_url(health) as redis:
        assert redis.ping()
        for ask in (redis.acl_list, redis.dbsize, lambda: redis.llen("capture")):
            with pytest.raises(NoPermissionError):
                ask()
    with Redis.from_url(stack.owner_of_broker()) as redis:
        for ask in (redis.flushall, lambda: redis.llen("capture"), redis.config_get):
            with pytest.raises(NoPermissionError):
                ask()


def test_rights_of_a_former_version_are_taken_back(stack: Stack) -> None:
    before = list_all(stack)
    admin = open_admin(stack.owner_of_store())
    everything = {"Effect": "Allow", "Action": ["s3:*"], "Resource": ["arn:aws:s3:::*"]}
    admin.policy_add("capture", policy={"Version": "2012-10-17", "Statement": [everything]})
    admin.attach_policy(["readwrite"], user="detection")
    with open_database(stack.owner_of_catalog()) as connection:
        connection.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO cli")
        connection.execute("REVOKE SELECT ON images FROM capture")
        connection.execute("GRANT ALL ON DATABASE traboule TO PUBLIC")
    with Redis.from_url(stack.owner_of_broker()) as redis:
        users = stack.folder.get(USERS_FILE)
        stack.folder.write(USERS_FILE, re.sub(r"(user cli .*)", r"\1 ~* +@all", users))
        redis.acl_load()
    assert list_all(stack) != before
    assert stack.do("servers") == [
        "secrets: broker/users.acl written",
        "broker: users changed",
        "object store: rights of capture set",
        "object store: detection has these rights, and no other",
        "catalog: closed to everybody else",
        "catalog: rights of capture set",
        "catalog: rights of cli set",
    ]
    assert list_all(stack) == before


def test_what_is_missing_is_made_again(stack: Stack) -> None:
    before = list_all(stack)
    client = open_client(read_address(stack.owner_of_store()))
    client.remove_bucket("models")
    client.delete_bucket_lifecycle("raw")
    open_admin(stack.owner_of_store()).user_remove("cli")
    with open_database(stack.owner_of_catalog()) as connection:
        connection.execute("DROP OWNED BY cli")
        connection.execute("DROP ROLE cli")
    assert stack.do("servers") == [
        "object store: bucket models made",
        "object store: what lies in raw expires after 2 days",
        "object store: user cli made",
        "object store: cli has these rights, and no other",
        "catalog: role cli made",
        "catalog: rights of cli set",
    ]
    after = list_all(stack)
    assert after.pop(PASSWORDS_QUERY) != before.pop(PASSWORDS_QUERY)  # another salt
    assert after == before
    assert stack.do("servers") == ["nothing to do"]


def test_store_whose_users_are_made_elsewhere_is_given_buckets_alone(stack: Stack) -> None:
    said = stack.do(
        "servers",
        manage_object_store_users=False,
        store_url=f"{stack.settings.store_url}/lyon-",
    )
    assert [line for line in said if "lyon-" not in line] == [
        "object store: its users are made elsewhere, and not looked at"
    ]
    names = [one.name for one in open_client(read_address(stack.owner_of_store())).list_buckets()]
    assert {f"lyon-{bucket}" for bucket in BUCKETS} <= set(names)
    for bucket in BUCKETS:
        open_client(read_address(stack.owner_of_store())).remove_bucket(f"lyon-{bucket}")


def test_password_that_no_server_knows_is_one_line_with_advice(stack: Stack) -> None:
    name = "catalog/password"
    before = stack.folder.get(name)
    stack.folder.write(name, "wrong")
    try:
        ran = stack.run("servers")
    finally:
        stack.folder.write(name, before)
    assert ran.returncode == 1
    assert ran.stderr.startswith("init: the catalog at 127.0.0.1:")
    assert "back from a backup" in ran.stderr
    assert ran.stderr.count("\n") == 1
    assert "wrong" not in ran.stderr


def test_server_that_does_not_answer_is_waited_for_and_named(stack: Stack) -> None:
    ran = stack.run("servers", wait_s=1, store_url="s3+http://traboule@127.0.0.1:9")
    assert ran.returncode == 1
    assert ran.stdout == "waiting for the object store at 127.0.0.1:9\n"
    assert ran.stderr.startswith(
        "init: the object store at 127.0.0.1:9 did not answer within 1 s: "
    )
    assert ran.stderr.count("\n") == 1


def fill_in(text: str, table: str) -> sql.Composed:
    return sql.SQL(text).format(sql.Identifier(table), sql.Identifier(COLUMNS[table]))


def is_granted(connection: Connection, statement: sql.Composed) -> bool:
    def do() -> None:
        with connection.transaction(force_rollback=True):
            connection.execute(statement)

    return is_allowed(do, errors.InsufficientPrivilege)


def is_done(connection: Connection, statement: LiteralString) -> bool:
    """And not undone: no database is made inside a transaction."""
    return is_allowed(lambda: connection.execute(statement), errors.InsufficientPrivilege)


def is_allowed(do: Callable[[], object], *refusals: type[Exception]) -> bool:
    try:
        do()
    except refusals:
        return False
    return True
