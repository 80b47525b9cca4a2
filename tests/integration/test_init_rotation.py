"""Passwords change everywhere, and a rotation that is killed is mended by the next run."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from redis import Redis
from redis.exceptions import AuthenticationError

from infra.init.administrator import EMAIL, hash_password, is_hash_of
from infra.init.broker import USERS_FILE
from infra.init.catalog import connect as connect_to_catalog
from infra.init.commands import set_up_servers
from infra.init.grants import ROLES, Connection
from infra.init.label_studio import DATABASE
from infra.init.object_store import connect as connect_to_store
from infra.init.passwords import (
    BROKER_HEALTH,
    BROKER_OWNER,
    CATALOG_OWNER,
    COPIES,
    LABEL_STUDIO,
    LABEL_STUDIO_PASSWORD,
    LABEL_STUDIO_TOKEN,
    PASSWORDS,
    STORE_OWNER,
    password_of,
)
from infra.init.report import Report
from infra.init.rights import RIGHTS
from pipeline.routes import SENDERS
from pipeline.storage.s3_address import read_address
from tests.integration.init_stack import ROOT, Stack, list_all, open_database, start_stack

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1200)]

# Ends the process (-9) when it has said its n-th line: between that change and the next.
KILLED = """
import os, signal, sys
from infra.init.__main__ import main
from infra.init.report import Report

class Deadly(Report):
    def say(self, line):
        super().say(line)
        LEFT[0] -= 1
        if LEFT[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

LEFT = [int(sys.argv[1])]
import infra.init.__main__ as module
module.Report = Deadly
sys.exit(main(["rotate"]))
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with start_stack(tmp_path_factory.mktemp("secrets")) as started:
        started.do("servers")
        make_administrator(started)
        yield started


def open_label_studios(stack: Stack) -> Connection:
    password = stack.folder.get(password_of(LABEL_STUDIO))
    url = stack.catalog_url(LABEL_STUDIO, password).removesuffix("traboule") + DATABASE
    return open_database(url)


def make_administrator(stack: Stack) -> None:
    """As Label Studio's first start leaves him, in the columns that init knows."""
    with open_label_studios(stack) as connection:
        connection.execute("CREATE TABLE htx_user (id int, email text, password text)")
        connection.execute(
            "CREATE TABLE authtoken_token (key text, created timestamptz, user_id int)"
        )
        password = hash_password(stack.folder.get(LABEL_STUDIO_PASSWORD))
        connection.execute("INSERT INTO htx_user VALUES (1, %s, %s)", (EMAIL, password))
        token = stack.folder.get(LABEL_STUDIO_TOKEN)
        connection.execute("INSERT INTO authtoken_token VALUES (%s, now(), 1)", (token,))


def opens_label_studio(stack: Stack, password: str) -> Callable[[], bool]:
    def opens() -> bool:
        with open_label_studios(stack) as connection:
            ((hashed,),) = connection.execute("SELECT password FROM htx_user").fetchall()
        return is_hash_of(password, hashed)

    return opens


def is_label_studios_token(stack: Stack, token: str) -> Callable[[], bool]:
    def opens() -> bool:
        with open_label_studios(stack) as connection:
            tokens = connection.execute("SELECT key FROM authtoken_token").fetchall()
        return tokens == [(token,)]

    return opens


def read_passwords(stack: Stack) -> dict[str, str]:
    return {name: stack.folder.get(name) for name in PASSWORDS}


def who_comes_in(stack: Stack, passwords: dict[str, str]) -> set[str]:
    """User and server, of those that these passwords open."""
    tried: dict[str, Callable[[], bool]] = {}
    for service in RIGHTS:
        password = passwords[password_of(service)]
        tried[f"{service} store"] = opens_store(stack, service, password)
        if service in (*ROLES, LABEL_STUDIO):
            tried[f"{service} catalog"] = opens_catalog(stack, service, password)
        if service in SENDERS:
            tried[f"{service} broker"] = opens_broker(stack, service, password)
    tried["owner store"] = opens_store(stack, "traboule", passwords[STORE_OWNER])
    tried["owner catalog"] = opens_catalog(stack, "traboule", passwords[CATALOG_OWNER])
    tried["owner broker"] = opens_broker(stack, "init", passwords[BROKER_OWNER])
    tried["health broker"] = opens_broker(stack, "health", passwords[BROKER_HEALTH])
    tried["administrator"] = opens_label_studio(stack, passwords[LABEL_STUDIO_PASSWORD])
    tried["token"] = is_label_studios_token(stack, passwords[LABEL_STUDIO_TOKEN])
    return {who for who, opens in tried.items() if opens()}


def opens_store(stack: Stack, user: str, password: str) -> Callable[[], bool]:
    return lambda: connect_to_store(read_address(stack.store_url(user, password))) is not None


def opens_catalog(stack: Stack, role: str, password: str) -> Callable[[], bool]:
    def opens() -> bool:
        url = stack.catalog_url(role, password)
        if role == LABEL_STUDIO:
            url = url.removesuffix("traboule") + DATABASE
        connection = connect_to_catalog(url)
        if connection is not None:
            connection.close()
        return connection is not None

    return opens


def opens_broker(stack: Stack, user: str, password: str) -> Callable[[], bool]:
    def opens() -> bool:
        with Redis.from_url(stack.broker_url(user, password)) as redis:
            try:
                redis.ping()
            except AuthenticationError:
                return False
            return True

    return opens


def everybody(stack: Stack) -> set[str]:
    services = {f"{service} store" for service in RIGHTS}
    services |= {f"{role} catalog" for role in (*ROLES, LABEL_STUDIO)}
    owners = {"owner store", "owner catalog", "owner broker", "health broker"}
    owners |= {"administrator", "token"}
    return services | owners | {f"{service} broker" for service in SENDERS}


def test_every_password_is_changed_everywhere_and_the_old_ones_are_refused(stack: Stack) -> None:
    before, others = read_passwords(stack), without_passwords(list_all(stack))
    assert who_comes_in(stack, before) == everybody(stack)
    said = stack.do("rotate")
    after = read_passwords(stack)
    assert not set(before.values()) & set(after.values())
    assert who_comes_in(stack, after) == everybody(stack)
    assert who_comes_in(stack, before) == set()
    assert without_passwords(list_all(stack)) == others
    assert all(secret not in "\n".join(said) for secret in (*before.values(), *after.values()))
    assert leftovers(stack) == []
    assert stack.do("servers") == ["nothing to do"]


def test_store_that_starts_again_goes_by_its_owners_new_password(stack: Stack) -> None:
    stack.do("rotate")
    stack.restart("object-store")
    assert stack.do("servers")[-1] == "nothing to do"


def test_rotation_killed_anywhere_is_finished_by_the_next_run(stack: Stack) -> None:
    said = stack.do("rotate")
    for line in KILLED_AFTER:
        before = read_passwords(stack)
        killed = subprocess.run(
            [sys.executable, "-c", KILLED, str(find(line, said))],
            cwd=ROOT,
            env=stack.environment,
            capture_output=True,
            text=True,
            timeout=100,
        )
        assert killed.returncode == -signal.SIGKILL, f"the fault did not happen: {killed.stderr}"
        assert line in killed.stdout.splitlines()[-1]
        set_up_servers(stack.settings, Report(io.StringIO()))
        after = read_passwords(stack)
        assert not set(before.values()) & set(after.values()), line
        assert who_comes_in(stack, after) == everybody(stack), line
        assert who_comes_in(stack, before) == set(), line
        assert leftovers(stack) == [], line
    assert stack.do("servers") == ["nothing to do"]


# One of each kind of change, in their order; each is the last thing that one process did.
KILLED_AFTER = (
    "new passwords made",
    "users.acl written",
    "broker: users changed",
    "object store: password of detection",
    "catalog: password of detection",
    "catalog: password of traboule",
    "catalog: password of label-studio",
    "Label Studio: password of",
    "Label Studio: token of",
    "secrets: detection/password changed",
    "secrets: object-store/root_password changed",
    "secrets: init/broker_password changed",
    "secrets: labeling/label_studio_token written",
    "object store: started again",
)


def find(line: str, said: list[str]) -> int:
    """Its place, from 1."""
    return next(n for n, one in enumerate(said, 1) if line in one)


def leftovers(stack: Stack) -> list[str]:
    names = {*PASSWORDS, *COPIES, USERS_FILE}
    files = {str(path.relative_to(stack.folder.root)) for path in stack.folder.root.glob("*/*")}
    return sorted(files - names)


def without_passwords(listed: dict[str, object]) -> dict[str, object]:
    """What a rotation leaves alone."""
    return {
        name: value
        for name, value in listed.items()
        if name not in {"files", "broker"} and "rolpassword" not in name
    }
