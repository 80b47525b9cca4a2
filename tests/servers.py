"""Real servers for tests: containers where a Docker Engine and the image are there, else programs.

    with start_postgres() as server: server.url, server.stop(), server.start(), server.kill(), …

A server keeps its data and its port while it is stopped, and leaves nothing at the end.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import pytest

from tests.runners import Container, Recipe, Runner, running

REDIS_IMAGE = os.environ.get("BROKER_IMAGE", "redis:8-trixie")
MINIO_IMAGE = os.environ.get("OBJECT_STORE_IMAGE", "traboule/object-store:local")
POSTGRES_IMAGE = os.environ.get("CATALOG_IMAGE", "postgres:17-trixie")
READY_WITHIN_S = 60.0
ADMINISTRATOR = "traboule"
_INITDB = "--encoding=UTF8 --locale=C.UTF-8"  # as in docker-compose.yml


@dataclass(frozen=True)
class Server:
    scheme: str
    port: int
    user: str
    password: str
    runner: Runner
    is_ready: Callable[[Server], bool]
    path: str = ""
    host: str = "127.0.0.1"

    @property
    def url(self) -> str:
        """The administrator's address."""
        return self.url_of(self.user, self.password)

    @property
    def container(self) -> str:
        """The container's name; skips where the server runs outside of one."""
        if not isinstance(self.runner, Container):
            pytest.skip("needs the server in a container: no Docker Engine answers here")
        return self.runner.container

    def url_of(self, user: str, password: str, path: str | None = None) -> str:
        """The address for another user, or of another database."""
        user_info = f"{user}:{password}@" if password else ""
        place = self.path if path is None else path
        return f"{self.scheme}://{user_info}{self.host}:{self.port}{place}"

    def start(self) -> None:
        """Start it again; its data is there where the server kept it."""
        self.runner.start()
        self.wait_until_ready()

    def stop(self) -> None:
        """Tell it to end, and wait until it has."""
        self.runner.stop()

    def kill(self) -> None:
        self.runner.kill()

    def pause(self) -> None:
        """Hang it: connections stay open, and nothing answers."""
        self.runner.pause()

    def resume(self) -> None:
        self.runner.resume()

    def wait_until_ready(self) -> None:
        end = time.monotonic() + READY_WITHIN_S
        while not self.is_ready(self):
            if time.monotonic() > end:
                raise TimeoutError(f"{self.scheme} server: not ready\n{self.runner.log()[-3000:]}")
            time.sleep(0.05)


@contextmanager
def start_redis(*arguments: str, mounts: Mapping[Path, str] | None = None) -> Iterator[Server]:
    """Redis that keeps nothing, unless `arguments` of redis-server say so. Its default user has a
    password, but for what `--requirepass` or `--aclfile` say."""
    password = secrets.token_hex(16)
    if "--requirepass" in arguments:
        password = arguments[arguments.index("--requirepass") + 1]
    elif "--aclfile" in arguments:
        password = ""
    else:
        arguments = ("--requirepass", password, *arguments)
    options = ("--save", "", "--appendonly", "no", *arguments)
    program = shutil.which("redis-server")
    with _folder() as folder:
        outside = program and (program, "--port", "{port}", "--dir", str(folder), *options)
        recipe = Recipe("redis", REDIS_IMAGE, 6379, ("redis-server", *options), outside or None)
        recipe = replace(recipe, folder=folder, mounts=mounts or {})
        with running(recipe) as (runner, port):
            yield _started(Server("redis", port, "", password, runner, _redis_answers, "/0"))


@contextmanager
def start_minio(*arguments: str, mounts: Mapping[Path, str] | None = None) -> Iterator[Server]:
    """MinIO on an empty folder."""
    password = secrets.token_hex(16)
    program = shutil.which("minio")
    with _folder() as folder:
        data = str(folder / "data")
        outside = program and (program, "server", data, "--address", "127.0.0.1:{port}")
        recipe = Recipe(
            "minio",
            MINIO_IMAGE,
            9000,
            ("server", "/data", *arguments),
            (*outside, *arguments) if outside else None,
            environment={
                "MINIO_ROOT_USER": ADMINISTRATOR,
                "MINIO_ROOT_PASSWORD": password,
                "MINIO_UPDATE": "off",
            },
            mounts=mounts or {},
            folder=folder,
        )
        with running(recipe) as (runner, port):
            server = Server("s3+http", port, ADMINISTRATOR, password, runner, _minio_answers)
            yield _started(server)


@contextmanager
def start_postgres(*arguments: str, mounts: Mapping[Path, str] | None = None) -> Iterator[Server]:
    """PostgreSQL with a superuser `traboule` and an empty database `traboule`; see fresh_database.
    It does not wait for the disk: what kill leaves is whole all the same."""
    password = secrets.token_hex(16)
    options = ("-c", "fsync=off", "-c", "max_connections=300", *arguments)
    with _folder() as folder:
        recipe = Recipe(
            "postgres",
            POSTGRES_IMAGE,
            5432,
            ("postgres", *options),
            _installed_postgres(folder, options),
            environment={
                "POSTGRES_USER": ADMINISTRATOR,
                "POSTGRES_DB": ADMINISTRATOR,
                "POSTGRES_PASSWORD": password,
                "POSTGRES_INITDB_ARGS": _INITDB,
            },
            mounts=mounts or {},
            folder=folder,
        )
        with running(recipe) as (runner, port):
            user = (ADMINISTRATOR, password)
            yield _started(
                Server("postgresql+psycopg", port, *user, runner, _postgres_answers, "/traboule")
            )


@contextmanager
def fresh_database(server: Server, template: str = "template0") -> Iterator[str]:
    """The administrator's address of a new database, gone at the end whoever still uses it."""
    name = f"test_{secrets.token_hex(6)}"
    administer(server, f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    try:
        yield server.url_of(server.user, server.password, f"/{name}")
    finally:
        administer(server, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def migrate_catalog(url: str) -> None:
    """Make the catalog's tables, as init does."""
    from pipeline.catalog.catalog import migrate
    from pipeline.catalog.engine import Transactions, make_engine

    engine = make_engine(url)
    migrate(Transactions(engine))
    engine.dispose()


def administer(server: Server, *statements: str) -> None:
    """Carry out statements as the superuser, in the database `traboule`."""
    import psycopg

    url = server.url.replace("+psycopg", "")
    with psycopg.connect(url, autocommit=True, connect_timeout=5) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def _started(server: Server) -> Server:
    server.start()
    return server


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="traboule-test-") as made:
        yield Path(made)


def _installed_postgres(folder: Path, options: Sequence[str]) -> tuple[str, ...] | None:
    """The command that makes a database cluster at its first start; PostgreSQL refuses root."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    on_path = shutil.which("postgres")
    program = Path(on_path) if on_path else found[-1] if found else None
    if program is None or os.geteuid() == 0:
        return None
    data = folder / "data"
    script = f"""
    if [ ! -d {data} ]; then
        printf %s "$POSTGRES_PASSWORD" >{folder}/password
        {program.parent}/initdb -D {data} -U {ADMINISTRATOR} -A scram-sha-256 \\
            --pwfile={folder}/password --no-sync {_INITDB}
        echo 'CREATE DATABASE {ADMINISTRATOR}' \\
            | {program.parent}/postgres --single -D {data} postgres
    fi
    exec {program} -D {data} -k {folder} -h 127.0.0.1 "$@"
    """
    return ("sh", "-ec", script, "sh", "-p", "{port}", *options)


def _redis_answers(server: Server) -> bool:
    """A pong, or being asked for a password: while it loads its data it says LOADING."""
    try:
        with socket.create_connection((server.host, server.port), timeout=2) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith((b"+PONG", b"-NOAUTH"))
    except OSError:
        return False


def _minio_answers(server: Server) -> bool:
    connection = HTTPConnection(server.host, server.port, timeout=2)
    try:
        connection.request("GET", "/minio/health/ready")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _postgres_answers(server: Server) -> bool:
    """Over TCP: while it makes its first database it answers on a socket alone."""
    import psycopg

    try:
        administer(server, "SELECT 1")
    except psycopg.OperationalError:
        return False
    return True
