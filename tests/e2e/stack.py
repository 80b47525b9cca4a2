"""A stack of Docker services for tests: a Compose project of its own, gone at the end."""

from __future__ import annotations

import io
import os
import secrets
import signal
import subprocess
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

import docker  # type: ignore[import-untyped]
from redis import Redis

from pipeline import keys
from pipeline.catalog import Catalog, open_catalog
from pipeline.storage import ObjectStore, open_store
from tests.e2e.engine import COMPOSE_FILE, ROOT
from tests.runners import find_free_port

UP_WITHIN_S = 900.0
SECRETS = "/secrets"
USERS_FILE = f"{SECRETS}/broker/users.acl"
WORKERS = ("scheduler", "capture", "detection", "maintenance", "labeling")
OWNER = "upkeep"  # may read and list everything but the broker's queues


@dataclass(frozen=True)
class Ran:
    status: int
    out: str
    err: str


@dataclass(frozen=True)
class Stack:
    """`overrides` are Compose files beside docker-compose.yml; `environment` is what they read."""

    overrides: Sequence[Path] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    project: str = field(
        default_factory=lambda: f"traboule-test-{os.getpid()}-{secrets.token_hex(4)}"
    )
    engine: Any = field(default_factory=lambda: docker.from_env(timeout=120))
    console_port: int = field(default_factory=find_free_port)
    label_studio_port: int = field(default_factory=find_free_port)

    def up(self, *arguments: str, profile: str = "simulation") -> Ran:
        """Start what is not running, and wait until all is healthy."""
        options = ("--detach", "--wait", "--no-build", "--pull", "never")
        return self.compose("--profile", profile, "up", *options, *arguments)

    def scale(self, service: str, count: int) -> None:
        self.up("--no-deps", "--no-recreate", "--scale", f"{service}={count}", service)

    def down(self, *arguments: str) -> Ran:
        """Remove the containers; with --volumes, the data as well."""
        return self.compose("--profile", "*", "down", "--remove-orphans", *arguments)

    def close(self) -> None:
        try:
            self.down("--volumes", "--timeout", "1")
        finally:
            self.engine.close()

    def run(self, *arguments: str, service: str = "cli") -> Ran:
        """The traboule command in a container; whatever its exit status."""
        return self.compose("run", "--rm", "-T", service, *arguments, check=False)

    def compose(self, *arguments: str, check: bool = True) -> Ran:
        files = [part for file in (COMPOSE_FILE, *self.overrides) for part in ("--file", str(file))]
        command = ["docker", "compose", "--progress", "plain", "--project-name", self.project]
        ran = _run(
            [*command, "--project-directory", str(ROOT), *files, *arguments],
            {**os.environ, **self.own_environment},
        )
        assert not check or ran.status == 0, f"{' '.join(arguments)}: {ran} {self.states()}"
        return ran

    @property
    def own_environment(self) -> dict[str, str]:
        """Ports that nobody else has, and what its test says."""
        ports = {
            "OBJECT_STORE_CONSOLE_PORT": str(self.console_port),
            "LABEL_STUDIO_PORT": str(self.label_studio_port),
        }
        return {**ports, **self.environment}

    def states(self) -> dict[str, str]:
        """Container to how the engine describes it, for whoever wonders what went wrong."""
        filters = {"label": f"com.docker.compose.project={self.project}"}
        found = self.engine.api.containers(all=True, filters=filters)
        return {one["Names"][0]: one["Status"] for one in found}

    def containers(self, service: str) -> list[Any]:
        """A service's containers, but those of `run`; in their order."""
        labels = {"project": self.project, "service": service, "oneoff": "False"}
        wanted = [f"com.docker.compose.{name}={value}" for name, value in labels.items()]
        found: list[Any] = self.engine.containers.list(
            all=True, filters={"label": wanted}, ignore_removed=True
        )
        return sorted(found, key=lambda one: int(one.labels["com.docker.compose.container-number"]))

    def container(self, service: str) -> Any:
        (only,) = self.containers(service)
        return only

    def address(self, service: str, network: str = "") -> str:
        """On the bridge of a network, by default that of its name; this machine is there too."""
        networks = self.container(service).attrs["NetworkSettings"]["Networks"]
        return str(networks[f"{self.project}_{network or service}"]["IPAddress"])

    def secrets(self) -> dict[str, str]:
        """File to secret, of all that init made."""
        parts, _ = self.container("secrets").get_archive(SECRETS)
        with tarfile.open(fileobj=io.BytesIO(b"".join(parts))) as archive:
            files = [member for member in archive.getmembers() if member.isfile()]
            found = {one.name.removeprefix("secrets/"): _read(archive, one) for one in files}
        return {name: secret for name, secret in found.items() if "/" in name}

    def store_url(self, user: str = OWNER) -> str:
        password = quote(self.secrets()[f"{user}/password"], safe="")
        return f"s3+http://{user}:{password}@{self.address('object-store')}:9000"

    def store(self) -> ObjectStore:
        return open_store(self.store_url())

    def images_below(self, prefix: str) -> set[str]:
        """The ids of what is listed there."""
        return {keys.image_of(entry.key) for entry in self.store().list(prefix)}

    def catalog_url(self, user: str = OWNER) -> str:
        password = quote(self.secrets()[f"{user}/password"], safe="")
        return f"postgresql+psycopg://{user}:{password}@{self.address('catalog')}:5432/traboule"

    @contextmanager
    def catalog(self) -> Iterator[Catalog]:
        with closing(open_catalog(self.catalog_url())) as catalog:
            yield catalog

    @contextmanager
    def broker(self) -> Iterator[Redis]:
        """As an administrator, whom tests alone make."""
        password = self._admit_administrator()
        redis = Redis(
            host=self.address("broker"),
            username="tests",
            password=password,
            socket_timeout=10,
            decode_responses=True,
        )
        with closing(redis):
            yield redis

    def _admit_administrator(self) -> str:
        """Init knows nothing of it, and takes it away when it next writes the file."""
        known = self.secrets()
        password = known["init/broker_password"]
        users = known["broker/users.acl"]
        if "user tests " not in users:
            hashed = sha256(password.encode()).hexdigest()
            users += f"\nuser tests on #{hashed} ~* &* +@all\n"
            self.container("secrets").put_archive("/secrets/broker", _pack("users.acl", users))
        init = Redis(
            host=self.address("broker"), username="init", password=password, socket_timeout=10
        )
        with closing(init):
            if not any("user tests " in str(user) for user in init.acl_list()):
                init.acl_load()
        return password


def _run(command: Sequence[str], environment: Mapping[str, str]) -> Ran:
    """Killed with its children where it takes too long: Compose is a child of docker."""
    with subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            out, err = process.communicate(timeout=UP_WITHIN_S)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
    return Ran(process.returncode, out, err[-3000:])


def _read(archive: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    file = archive.extractfile(member)
    assert file is not None
    return file.read().decode().strip()


def _pack(name: str, text: str) -> bytes:
    """As init writes it: 0440, of user and group 2000."""
    packed, data = io.BytesIO(), text.encode()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.size, member.mode, member.uid, member.gid = len(data), 0o440, 2000, 2000
        archive.addfile(member, io.BytesIO(data))
    return packed.getvalue()
