"""The three servers as `docker compose` starts them: each with its own folder of secrets."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from minio import MinioAdmin
from minio.credentials.providers import StaticProvider
from redis import Redis

from infra.init.addresses import log_in_as
from infra.init.catalog import connect
from infra.init.grants import Connection
from infra.init.object_store import open_client
from infra.init.passwords import BROKER_OWNER, CATALOG_OWNER, STORE_OWNER
from infra.init.secrets_folder import SecretsFolder
from infra.init.settings import InitSettings
from pipeline.storage.s3_address import read_address
from tests.runners import find_free_port
from tests.servers import MINIO_IMAGE, POSTGRES_IMAGE, REDIS_IMAGE

ROOT = Path(__file__).parents[2]
INSIDE = "/run/secrets"
LABEL = f"traboule.tests={socket.gethostname()}:{os.getpid()}"  # see tests/servers.py


@dataclass(frozen=True)
class Part:
    """One server, as in docker-compose.yml."""

    name: str
    image: str
    port: int
    options: tuple[str, ...] = ()
    command: tuple[str, ...] = ()


PARTS = (
    Part(
        "broker",
        REDIS_IMAGE,
        6379,
        ("--user", "999:999"),
        ("redis-server", "--save", "", "--aclfile", f"{INSIDE}/users.acl"),
    ),
    Part(
        "object-store",
        MINIO_IMAGE,
        9000,
        (
            *("--env", "MINIO_ROOT_USER=traboule"),
            *("--env", f"MINIO_ROOT_PASSWORD_FILE={INSIDE}/root_password"),
        ),
    ),
    Part(
        "catalog",
        POSTGRES_IMAGE,
        5432,
        (
            *("--user", "999:999"),
            *("--env", "POSTGRES_USER=traboule"),
            *("--env", f"POSTGRES_PASSWORD_FILE={INSIDE}/password"),
            *("--env", "POSTGRES_INITDB_ARGS=--encoding=UTF8 --locale=C.UTF-8"),
        ),
        ("postgres", "-c", "fsync=off"),
    ),
)

PASSWORDS_QUERY = "SELECT rolname, rolpassword FROM pg_authid ORDER BY 1"
QUERIES = (
    PASSWORDS_QUERY,
    "SELECT rolname, rolcanlogin, rolsuper FROM pg_roles ORDER BY 1",
    "SELECT relname, pg_get_userbyid(grantee), privilege_type FROM pg_class, aclexplode(relacl)"
    " WHERE relnamespace = 'public'::regnamespace ORDER BY 1, 2, 3",
    "SELECT datname, pg_get_userbyid(grantee), privilege_type FROM pg_database, aclexplode(datacl)"
    " ORDER BY 1, 2, 3",
    "SELECT version_num FROM alembic_version",
)


@dataclass(frozen=True)
class Stack:
    folder: SecretsFolder
    settings: InitSettings
    containers: str  # what their names begin with

    def restart(self, server: str) -> None:
        restarted = _docker("restart", f"{self.containers}-{server}")
        assert restarted.returncode == 0, restarted.stderr

    @property
    def environment(self) -> dict[str, str]:
        said = self.settings.model_dump()
        return {**os.environ, **{f"INIT_{name.upper()}": str(said[name]) for name in said}}

    def run(self, command: str, **settings: object) -> subprocess.CompletedProcess[str]:
        """Init in a process of its own, as its container runs it."""
        changed = {f"INIT_{name.upper()}": str(value) for name, value in settings.items()}
        return subprocess.run(
            [sys.executable, "-m", "infra.init", command],
            cwd=ROOT,
            env=self.environment | changed,
            capture_output=True,
            text=True,
            timeout=100,
        )

    def do(self, command: str, **settings: object) -> list[str]:
        """Its lines, once it has ended well."""
        ran = self.run(command, **settings)
        assert (ran.returncode, ran.stderr) == (0, ""), f"{ran.stdout}{ran.stderr}"
        return ran.stdout.splitlines()

    def password(self, service: str) -> str:
        return self.folder.get(f"{service}/password")

    def catalog_url(self, role: str, password: str | None = None) -> str:
        known = self.password(role) if password is None else password
        return log_in_as(self.settings.catalog_url, role, known)

    def store_url(self, user: str, password: str | None = None) -> str:
        known = self.password(user) if password is None else password
        return log_in_as(self.settings.store_url, user, known)

    def owner_of_catalog(self) -> str:
        return self.catalog_url("traboule", self.folder.get(CATALOG_OWNER))

    def owner_of_store(self) -> str:
        return self.store_url("traboule", self.folder.get(STORE_OWNER))

    def owner_of_broker(self) -> str:
        return self.broker_url("init", self.folder.get(BROKER_OWNER))

    def broker_url(self, user: str, password: str | None = None) -> str:
        known = self.password(user) if password is None else password
        return log_in_as(self.settings.broker_url, user, known)


def open_database(url: str) -> Connection:
    connection = connect(url)
    assert connection is not None, "the catalog refuses the password"
    return connection


def open_admin(url: str) -> MinioAdmin:
    address = read_address(url)
    who = StaticProvider(address.user, address.password)
    return MinioAdmin(endpoint=address.endpoint, credentials=who, secure=address.secure)


def list_all(stack: Stack) -> dict[str, Any]:
    """Everything that init makes, as files and servers list it."""
    admin = open_admin(stack.owner_of_store())
    client = open_client(read_address(stack.owner_of_store()))
    rule = client.get_bucket_lifecycle("raw")
    expirations = [one.expiration for one in rule.rules if one.expiration] if rule else []
    files = [path for path in stack.folder.root.glob("*/*")]
    with Redis.from_url(stack.owner_of_broker()) as redis:
        users = sorted(str(line) for line in redis.acl_list())
    with open_database(stack.owner_of_catalog()) as connection:
        rows = {query: connection.execute(query).fetchall() for query in QUERIES}
    return rows | {
        "files": {path: (path.read_text(), path.stat().st_mode) for path in files},
        "buckets": [bucket.name for bucket in client.list_buckets()],
        "raw expires after days": [one.days for one in expirations],
        "policies": _sorted(json.loads(admin.policy_list())),
        "users": {name: user["policyName"] for name, user in json.loads(admin.user_list()).items()},
        "broker": users,
    }


def _sorted(value: Any) -> Any:
    """The same whatever the order of lists: MinIO's are sets."""
    if isinstance(value, dict):
        return {key: _sorted(one) for key, one in value.items()}
    if isinstance(value, list):
        return sorted((_sorted(one) for one in value), key=repr)
    return value


@contextmanager
def start_stack(root: Path) -> Iterator[Stack]:
    """Secrets are made, and servers started with them; nothing is set up in these yet."""
    _check_engine()
    ports = {part.name: find_free_port() for part in PARTS}
    settings = InitSettings(
        secrets_dir=root,
        secrets_gid=os.getgid(),
        broker_url=f"redis://init@127.0.0.1:{ports['broker']}/0",
        store_url=f"s3+http://traboule@127.0.0.1:{ports['object-store']}",
        catalog_url=f"postgresql+psycopg://traboule@127.0.0.1:{ports['catalog']}/traboule",
        wait_s=60,
    )
    name = f"traboule-test-init-{secrets.token_hex(4)}"
    stack = Stack(SecretsFolder(root, settings.secrets_gid), settings, name)
    stack.do("secrets")
    try:
        for part in PARTS:
            _start(part, f"{name}-{part.name}", root / part.name, ports[part.name])
        yield stack
    finally:
        containers = [f"{name}-{part.name}" for part in PARTS]
        _docker("rm", "--force", "--volumes", *containers)


def _start(part: Part, name: str, folder: Path, port: int) -> None:
    options = ["--detach", "--name", name, "--label", LABEL, "--group-add", str(os.getgid())]
    options += ["--publish", f"127.0.0.1:{port}:{part.port}", *part.options]
    options += ["--mount", f"type=bind,source={folder},target={INSIDE},readonly"]
    started = _docker("run", *options, part.image, *part.command)
    assert started.returncode == 0, started.stderr


def _check_engine() -> None:
    try:
        for part in PARTS:
            found = _docker("image", "inspect", part.image)
            if found.returncode:
                pytest.skip(f"no Docker image {part.image}: {found.stderr.strip()}")
    except (OSError, subprocess.TimeoutExpired):
        pytest.skip("no Docker Engine answers")


def _docker(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=90)
