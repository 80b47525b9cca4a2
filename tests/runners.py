"""What a test's server runs in: a container, or a process where no Docker Engine answers."""

from __future__ import annotations

import os
import random
import secrets
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Protocol

import pytest

_LABEL = "traboule.tests"  # its value: which process on which host started the container
_PORTS = range(20_000, 32_000)  # below those that clients are given


class Runner(Protocol):
    """What a server runs in."""

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def kill(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def remove(self) -> None: ...
    def log(self) -> str: ...


@dataclass(frozen=True)
class Recipe:
    """How a server is made, either way."""

    name: str
    image: str
    inner_port: int
    command: tuple[str, ...]  # in the container, after the image's entrypoint
    program: tuple[str, ...] | None  # the same outside: None where it is not installed
    environment: Mapping[str, str] = field(default_factory=dict)
    mounts: Mapping[Path, str] = field(default_factory=dict)  # file here to its path in there
    folder: Path = Path()  # for the program's data


class Container:
    def __init__(self, recipe: Recipe, port: int) -> None:
        _remove_left_over()
        self.container = f"traboule-test-{recipe.name}-{secrets.token_hex(4)}"
        options = ["--name", self.container, "--label", f"{_LABEL}={_owner()}"]
        options += ["--publish", f"127.0.0.1:{port}:{recipe.inner_port}"]
        for name in recipe.environment:
            options += ["--env", name]
        for here, there in recipe.mounts.items():
            options += ["--mount", f"type=bind,source={here.resolve()},target={there},readonly"]
        command = ("create", *options, recipe.image, *recipe.command)
        _docker(*command, environment=recipe.environment)

    def start(self) -> None:
        _docker("start", self.container)

    def stop(self) -> None:
        _docker("stop", "--time", "20", self.container)

    def kill(self) -> None:
        _docker("kill", self.container)

    def pause(self) -> None:
        _docker("pause", self.container)

    def resume(self) -> None:
        _docker("unpause", self.container)

    def remove(self) -> None:
        with suppress(subprocess.SubprocessError):
            _docker("rm", "--force", "--volumes", self.container)

    def log(self) -> str:
        command = ["docker", "logs", self.container]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
        return done.stdout + done.stderr


class Program:
    def __init__(self, recipe: Recipe, port: int) -> None:
        self._command = [part.replace("{port}", str(port)) for part in recipe.program or ()]
        for here, there in recipe.mounts.items():
            self._command = [part.replace(there, str(here)) for part in self._command]
        self._environment = {**os.environ, **recipe.environment}
        self._folder = recipe.folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                cwd=self._folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def stop(self) -> None:
        # A fast shutdown: PostgreSQL's gentle one, SIGTERM, waits for its clients.
        self._end(signal.SIGINT)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def remove(self) -> None:
        self._end(signal.SIGKILL)

    def log(self) -> str:
        return (self._folder / "log").read_text(errors="replace")

    def _end(self, by: signal.Signals) -> None:
        if self._process is not None:
            self._signal(by)
            self._process.wait(timeout=20)
            self._process = None

    def _signal(self, which: signal.Signals) -> None:
        """To the whole process group: PostgreSQL has a process for each connection."""
        if self._process is not None:
            os.killpg(self._process.pid, which)


@contextmanager
def running(recipe: Recipe) -> Iterator[tuple[Runner, int]]:
    port = find_free_port()
    if (why_not := _lacks_container(recipe.image)) == "":
        runner: Runner = Container(recipe, port)
    elif recipe.program is not None:
        runner = Program(recipe, port)
    else:
        pytest.skip(f"{why_not}, and {recipe.name} is not installed here")
    try:
        yield runner, port
    finally:
        runner.remove()


def _lacks_container(image: str) -> str:
    """Why it cannot be run in a container, if so."""
    if not _engine_answers():
        return "no Docker Engine answers"
    command = ["docker", "image", "inspect", image]
    is_there = subprocess.run(command, capture_output=True, timeout=30).returncode == 0
    return "" if is_there else f"there is no Docker image {image}"


@cache
def _engine_answers() -> bool:
    try:
        return subprocess.run(["docker", "info"], capture_output=True, timeout=90).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


@cache
def _remove_left_over() -> None:
    """Containers of a test run on this host that was killed."""
    told = _docker("ps", "--all", "--filter", f"label={_LABEL}", "--format", _FORMAT)
    for line in told.splitlines():
        container, _, owner = line.partition(" ")
        host, _, pid = owner.rpartition(":")
        if host == socket.gethostname() and not Path(f"/proc/{pid}").exists():
            with suppress(subprocess.SubprocessError):
                _docker("rm", "--force", "--volumes", container)


_FORMAT = f'{{{{.ID}}}} {{{{.Label "{_LABEL}"}}}}'


def _owner() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def _docker(*arguments: str, environment: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(
        ["docker", *arguments],
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=90,
    )
    if done.returncode:
        raise subprocess.SubprocessError(f"docker {arguments[0]}: {done.stderr.strip()}")
    return done.stdout


def find_free_port() -> int:
    for port in random.sample(_PORTS, 100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError("no port is free")
