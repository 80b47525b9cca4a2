"""How Label Studio is started, and that both files that start it say the same."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.init.administrator import EMAIL
from infra.init.label_studio import DATABASE
from infra.init.passwords import LABEL_STUDIO, PASSWORDS
from traboule.labels.installation import BANNED_SUBNETS, VERSION

ROOT = Path(__file__).parents[4]
START = ROOT / "infra" / "label-studio" / "start"
SECRETS = {"password", "admin_password", "token", "secret_key"}
OF_DOCKER = {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"}
LOOPBACK = {"127.0.0.0/8", "::/127"}
PROGRAM = """#!/bin/sh
echo "arguments $*"
env
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    program = tmp_path / "bin" / "label-studio"
    program.parent.mkdir()
    program.write_text(PROGRAM)
    program.chmod(0o755)
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    for name in SECRETS:
        (secrets / name).write_text(f"the {name}")
    data = tmp_path / "data"
    (data / "tmp" / "left-behind").mkdir(parents=True)
    return {"PATH": f"{program.parent}:/usr/bin:/bin", "LABEL_STUDIO_BASE_DATA_DIR": str(data)}


def start(environment: dict[str, str], secrets: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", START, secrets], env=environment, capture_output=True, text=True, timeout=60
    )


def services(file: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / file).read_text())["services"]
    return found


def test_secrets_are_in_the_environment_and_in_no_argument(
    environment: dict[str, str], tmp_path: Path
) -> None:
    done = start(environment, tmp_path / "secrets")
    assert (done.returncode, done.stderr) == (0, "")
    arguments, *variables = done.stdout.splitlines()
    assert {
        "POSTGRE_PASSWORD=the password",
        "LABEL_STUDIO_PASSWORD=the admin_password",
        "LABEL_STUDIO_USER_TOKEN=the token",
        "SECRET_KEY=the secret_key",
    } <= set(variables)
    assert arguments.startswith("arguments start --no-browser")
    assert "the " not in arguments


def test_temporary_files_are_on_the_disk_and_begin_empty(
    environment: dict[str, str], tmp_path: Path
) -> None:
    done = start(environment, tmp_path / "secrets")
    assert f"TMPDIR={tmp_path / 'data' / 'tmp'}" in done.stdout.splitlines()
    assert list((tmp_path / "data" / "tmp").iterdir()) == []


@pytest.mark.parametrize("missing", sorted(SECRETS))
def test_nothing_is_started_without_a_secret(
    environment: dict[str, str], tmp_path: Path, missing: str
) -> None:
    (tmp_path / "secrets" / missing).unlink()
    done = start(environment, tmp_path / "secrets")
    assert done.returncode != 0
    assert done.stdout == ""
    assert missing in done.stderr


def test_init_makes_what_is_read() -> None:
    made = {name.removeprefix(f"{LABEL_STUDIO}/") for name in PASSWORDS if LABEL_STUDIO in name}
    assert made == SECRETS


def test_compose_and_swarm_start_it_alike() -> None:
    compose = services("docker-compose.yml")
    swarm = services("infra/swarm/stack.yml")
    told = [one["label-studio"]["environment"] for one in (compose, swarm)]
    address = "LABEL_STUDIO_HOST"  # of a port, which Swarm does not publish
    assert [{**one, address: ""} for one in told] == [{**told[0], address: ""}] * 2
    assert compose["labeling"]["environment"] == swarm["labeling"]["environment"]


def test_it_is_told_what_init_and_the_embedded_one_know() -> None:
    about = services("docker-compose.yml")["label-studio"]
    told = about["environment"]
    assert told["LABEL_STUDIO_USERNAME"] == EMAIL
    assert (told["POSTGRE_USER"], told["POSTGRE_NAME"]) == (LABEL_STUDIO, DATABASE)
    assert f":{VERSION}}}" in about["image"]


def test_it_asks_nothing_of_addresses_but_public_ones_and_dockers() -> None:
    told = services("docker-compose.yml")["label-studio"]["environment"]
    banned = told["LABEL_STUDIO_USER_ADDITIONAL_BANNED_SUBNETS"].replace(" ", "").split(",")
    assert set(banned) == set(BANNED_SUBNETS) - OF_DOCKER - {"::/128"} | LOOPBACK
