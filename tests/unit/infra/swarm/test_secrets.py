"""The script that makes Docker secrets, with a `docker` that keeps them in a folder."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[4] / "infra" / "swarm" / "secrets"
FILES = ("broker/users.acl", "capture/password", "upkeep/password")
WHOLE = {"city_1_broker_users.acl", "city_1_capture_password", "city_1_upkeep_password"}
DOCKER = f"""#!/bin/sh
case "$1 $2" in
  "run --rm")
    for volume; do case $volume in */secrets.*:/secrets) made=${{volume%:/secrets}} ;; esac; done
    for file in {" ".join(FILES)}; do
      mkdir -p "$made/${{file%/*}}"
      mktemp -u XXXXXXXXXX >"$made/$file"
    done ;;
  "secret ls") [ -d "$SECRETS" ] || exit 1; ls "$SECRETS" | grep "^${{6#name=}}" || true ;;
  "secret create")
    [ "$3" != "${{CUT_OFF_AT:-}}" ] || {{ kill -TERM $PPID; exit 0; }}
    [ ! -e "$SECRETS/$3" ] || exit 1
    cat "$4" >"$SECRETS/$3" ;;
  "secret rm")
    shift 2
    for name; do
      [ "$name" != "${{IN_USE:-}}" ] || {{ echo "$name is in use" >&2; exit 1; }}
      rm "$SECRETS/$name"
    done ;;
  *) exit 2 ;;
esac
"""


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """Where the secrets are, each a file."""
    folder = tmp_path / "made"
    folder.mkdir()
    return folder


@pytest.fixture
def environment(tmp_path: Path, made: Path) -> dict[str, str]:
    programs = tmp_path / "programs"
    programs.mkdir()
    docker = programs / "docker"
    docker.write_text(DOCKER)
    docker.chmod(0o755)
    path = f"{programs}:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "SECRETS": str(made), "STACK": "city"}


def make(environment: Mapping[str, str], generation: str = "1") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SCRIPT, generation],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )


def contents(made: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in made.iterdir()}


def test_generation_is_made_once(environment: dict[str, str], made: Path) -> None:
    done = make(environment)
    assert (done.returncode, done.stderr) == (0, "")
    first = contents(made)
    assert first.keys() == WHOLE | {"city_1_whole"}
    assert not any(secret.strip() in done.stdout for secret in first.values())
    assert "is there already" in make(environment).stdout
    assert contents(made) == first


def test_generations_are_apart(environment: dict[str, str], made: Path) -> None:
    assert make(environment, "11").returncode == 0
    assert make(environment, "1").returncode == 0
    assert len(contents(made)) == 2 * (len(WHOLE) + 1)


@pytest.mark.parametrize("name", ["city_1_capture_password", "city_1_whole"])
def test_generation_that_was_cut_off_is_made_anew(
    environment: dict[str, str], made: Path, name: str
) -> None:
    assert make(environment | {"CUT_OFF_AT": name}).returncode == 130
    cut_off = contents(made)
    assert 0 < len(cut_off) <= len(WHOLE)
    done = make(environment)
    assert done.returncode == 0
    assert "was cut off" in done.stdout
    anew = contents(made)
    assert anew.keys() == WHOLE | {"city_1_whole"}
    assert not set(cut_off.items()) & set(anew.items()), "they belong together"


def test_secret_that_is_in_use_is_not_made_anew(environment: dict[str, str], made: Path) -> None:
    make(environment | {"CUT_OFF_AT": "city_1_whole"})
    done = make(environment | {"IN_USE": "city_1_broker_users.acl"})
    assert done.returncode != 0
    assert "city_1_broker_users.acl is in use" in done.stderr
    assert contents(made).keys() == WHOLE


def test_machine_that_is_no_manager_is_told(environment: dict[str, str], made: Path) -> None:
    made.rmdir()
    assert make(environment).returncode == 1
