"""No secret where none may be: `docker inspect`, a log, a command line, an image, the repo."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from infra.init.passwords import COPIES
from tests.e2e.engine import ROOT, VERSION
from tests.e2e.stack import Stack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]  # building images, the first time

USERS = "broker/users.acl"  # names, rights and hashes of passwords
CONSUMERS = {
    *("scheduler", "capture", "detection", "maintenance", "labeling"),
    *("ml-backend", "label-studio", "cli", "upkeep", "init"),
}
LEAST_CHARACTERS = 24
OWN_FOLDERS = ("secrets/", "run/secrets/")
NEVER_IN_AN_IMAGE = (".env", ".git", ".netrc", ".pypirc", "id_rsa", "id_ed25519")


@pytest.fixture(scope="module")
def secrets(stack: Stack) -> dict[str, bytes]:
    """What must be found nowhere."""
    return {name: text.encode() for name, text in stack.secrets().items() if name != USERS}


def containers(stack: Stack) -> list[Any]:
    """All of them, those that have ended as well."""
    found: list[Any] = stack.engine.containers.list(
        all=True, filters={"label": f"com.docker.compose.project={stack.project}"}
    )
    return found


def names_in(text: bytes, secrets: dict[str, bytes]) -> list[str]:
    return [name for name, secret in secrets.items() if secret in text]


def test_every_secret_is_long_and_another(secrets: dict[str, bytes]) -> None:
    assert {name.partition("/")[0] for name in secrets} >= CONSUMERS
    assert min(len(secret) for secret in secrets.values()) >= LEAST_CHARACTERS
    assert {secrets[copy] == secrets[original] for copy, original in COPIES.items()} == {True}
    assert len(set(secrets.values())) == len(secrets) - len(COPIES)


def test_search_would_find_one(secrets: dict[str, bytes]) -> None:
    name, secret = next(iter(secrets.items()))
    assert names_in(b"password=" + secret + b"\n", secrets) == [name]


def test_inspection_shows_no_secret(stack: Stack, secrets: dict[str, bytes]) -> None:
    seen = containers(stack)
    assert len(seen) >= 12
    for container in seen:
        assert names_in(json.dumps(container.attrs).encode(), secrets) == [], container.name


def test_logs_show_no_secret(stack: Stack, secrets: dict[str, bytes]) -> None:
    logs = {container.name: container.logs() for container in containers(stack)}
    assert sum(map(len, logs.values())) > 1000
    assert {name: found for name, log in logs.items() if (found := names_in(log, secrets))} == {}


def test_command_lines_show_no_secret(stack: Stack, secrets: dict[str, bytes]) -> None:
    """Every user of the machine may read them."""
    seen = 0
    for container in containers(stack):
        if container.status == "running":
            for process in container.top()["Processes"]:
                with suppress(FileNotFoundError, ProcessLookupError):  # it has ended
                    line = Path(f"/proc/{process[1]}/cmdline").read_bytes()
                    seen += 1
                    assert names_in(line, secrets) == [], container.name
    assert seen >= 12


def test_images_hold_no_secret(stack: Stack, secrets: dict[str, bytes]) -> None:
    """Every layer, as it is kept, and every line of their histories."""
    files = 0
    for name, data in read_layers(stack):
        files += 1
        assert names_in(data, secrets) == [], name
        assert not name.startswith(OWN_FOLDERS), name
        assert Path(name).name not in NEVER_IN_AN_IMAGE, name
    assert files > 1000


def read_layers(stack: Stack) -> Iterator[tuple[str, bytes]]:
    """Every file of every layer of our images, each layer once, and what describes them."""
    names = [
        tag
        for image in stack.engine.images.list(filters={"reference": f"traboule/*:{VERSION}"})
        for tag in image.tags
    ]
    assert len(names) >= 9
    with (
        subprocess.Popen(["docker", "save", *names], stdout=subprocess.PIPE) as saving,
        tarfile.open(fileobj=saving.stdout, mode="r|") as saved,
    ):
        for blob in saved:
            file = saved.extractfile(blob) if blob.isfile() else None
            if file is not None:
                yield from _unpack(blob.name, file.read())


def _unpack(name: str, data: bytes) -> Iterator[tuple[str, bytes]]:
    if data[:1] in b"{[" or name == "repositories":
        yield name, data
        return
    with tarfile.open(fileobj=io.BytesIO(data)) as layer:
        for member in layer:
            file = layer.extractfile(member) if member.isfile() else None
            if file is not None:
                yield member.name, file.read()


def test_repository_holds_no_secret(secrets: dict[str, bytes]) -> None:
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    files = [ROOT / os.fsdecode(name) for name in listed.split(b"\0") if name]
    assert len(files) > 100
    for file in files:
        if file.is_file():
            assert names_in(file.read_bytes(), secrets) == [], file
