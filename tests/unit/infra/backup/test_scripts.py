"""The backup and restore scripts, with a `docker` that only pretends."""

from __future__ import annotations

import hashlib
import io
import os
import signal
import subprocess
import tarfile
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.waiting import wait_until

ROOT = Path(__file__).parents[4]
SCRIPTS = sorted(
    path
    for path in (ROOT / "infra").rglob("*")
    if path.is_file() and path.suffix == "" and path.read_bytes().startswith(b"#!")
)
FILES = ("catalog.dump", "store.tar", "label-studio.dump", "label-studio.tar", "secrets.tar")
# Says what it was asked for, and gives what the scripts expect of it.
DOCKER = """#!/bin/sh
echo "$*" >>"$ASKED"
case "$*" in
  *" ps "*) [ "${DOWN:-}" ] || echo running ;;
  *pg_dump*) echo dump ;;
  *psql*) echo 0002 ;;
  *--create*) echo passwords ;;
  *"backup write"*) cat "$STORE"; [ -z "${HANGS:-}" ] || exec sleep 600 ;;
  *"config --services"*) printf '%s\\n' broker catalog object-store ${LABELS-label-studio} ;;
  *"python label-studio"*) echo uploads ;;
  *"compose config") printf 'configs:\\n  start:\\n    name: tried_start\\nname: tried\\n' ;;
  *"volume ls"*) [ -z "${FULL:-}" ] || echo tried_secrets ;;
  *pg_restore*) exit "${PG_RESTORE:-0}" ;;
esac
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    programs = tmp_path / "programs"
    programs.mkdir()
    docker = programs / "docker"
    docker.write_text(DOCKER)
    docker.chmod(0o755)
    store = tmp_path / "written.tar"
    with tarfile.open(store, "w") as archive:
        counts = tarfile.TarInfo("counts.json")
        counts.size = 13
        archive.addfile(counts, io.BytesIO(b'{"images": 2}'))
    return {
        **os.environ,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "ASKED": str(tmp_path / "asked"),
        "STORE": str(store),
        "BACKUPS": str(tmp_path / "backups"),
    }


def run(
    script: str, environment: Mapping[str, str], *arguments: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "infra" / "backup" / script, *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )


def asked(environment: Mapping[str, str]) -> str:
    return Path(environment["ASKED"]).read_text()


def made(environment: Mapping[str, str]) -> list[Path]:
    return [path for path in Path(environment["BACKUPS"]).iterdir() if path.name[0] != "."]


@pytest.fixture
def backup(environment: dict[str, str]) -> Path:
    done = run("backup", environment)
    assert done.returncode == 0, done.stderr
    (folder,) = made(environment)
    Path(environment["ASKED"]).unlink()
    return folder


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_script_can_be_run_by_any_shell(script: Path) -> None:
    assert os.access(script, os.X_OK)
    checked = subprocess.run(["sh", "-n", script], capture_output=True, text=True, timeout=60)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_backup_is_named_when_it_is_whole(environment: dict[str, str], backup: Path) -> None:
    assert {path.name for path in backup.iterdir()} == {*FILES, "manifest"}
    assert backup.stat().st_mode & 0o777 == 0o700
    manifest = (backup / "manifest").read_text()
    for name in FILES:
        assert f"{hashlib.sha256((backup / name).read_bytes()).hexdigest()}  {name}\n" in manifest
    assert '# Objects: {"images": 2}' in manifest
    assert list(Path(environment["BACKUPS"]).glob(".*")) == []


def test_backup_of_a_stack_that_is_down_is_refused(environment: dict[str, str]) -> None:
    done = run("backup", environment | {"DOWN": "1"})
    assert done.returncode == 1
    assert done.stderr == "error: catalog does not run: make up, then again\n"
    assert not Path(environment["BACKUPS"]).exists()


def wait_for_half_a_store(backups: Path) -> None:
    halves = ".*.unfinished/store.tar"
    wait_until(lambda: any(half.stat().st_size for half in backups.glob(halves)))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_backup_that_is_killed_leaves_nothing_that_looks_whole(
    environment: dict[str, str], number: int
) -> None:
    running = subprocess.Popen(
        [ROOT / "infra" / "backup" / "backup"],
        # Tests that run in the background ignore Ctrl-C, and so would the script.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        env=environment | {"HANGS": "1"},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_for_half_a_store(Path(environment["BACKUPS"]))
        os.killpg(running.pid, number)
        assert running.wait(60) != 0
    finally:
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()
    assert made(environment) == []
    left = list(Path(environment["BACKUPS"]).glob(".*"))
    assert len(left) == (number == signal.SIGKILL)


def test_what_a_killed_backup_left_is_removed_a_day_later(environment: dict[str, str]) -> None:
    folders = [Path(environment["BACKUPS"]) / f".{day}.unfinished" for day in ("now", "before")]
    for folder in folders:
        folder.mkdir(parents=True)
    os.utime(folders[1], (time.time() - 90_000,) * 2)
    assert run("backup", environment).returncode == 0
    assert [folder.exists() for folder in folders] == [True, False]


def test_restore_goes_through_its_steps_in_order(environment: dict[str, str], backup: Path) -> None:
    done = run("restore", environment, str(backup))
    assert done.returncode == 0, done.stderr
    steps = (
        "tar secrets --extract",
        "up --detach --wait broker catalog object-store",
        "pg_restore",
        "run --rm -T init",
        "--dbname label_studio",
        "--entrypoint python label-studio",
        "backup read",
        "backup reconcile",
        "up --detach --wait\n",
    )
    places = [asked(environment).find(step) for step in steps]
    assert -1 not in places
    assert places == sorted(places)
    assert "down" not in asked(environment)


def test_backup_without_label_studio_is_restored(environment: dict[str, str]) -> None:
    """One made before there was any, or where somebody left it out."""
    assert run("backup", environment | {"LABELS": ""}).returncode == 0
    (folder,) = made(environment)
    assert {path.name for path in folder.iterdir()} == {
        *("catalog.dump", "store.tar", "secrets.tar", "manifest")
    }
    assert "label_studio" not in asked(environment)
    done = run("restore", environment, str(folder))
    assert done.returncode == 0, done.stderr
    assert "label_studio" not in asked(environment)


def test_restore_into_what_has_data_is_refused_unless_it_is_to_be_replaced(
    environment: dict[str, str], backup: Path
) -> None:
    done = run("restore", environment | {"FULL": "1"}, str(backup))
    assert done.returncode == 1
    assert "not empty: tried_secrets" in done.stderr
    assert "pg_restore" not in asked(environment)
    assert run("restore", environment | {"REPLACE": "1"}, str(backup)).returncode == 0
    assert "down --volumes" in asked(environment)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["longer", "cut", "gone"])
def test_restore_of_a_damaged_backup_touches_nothing(
    environment: dict[str, str], backup: Path, name: str, damage: str
) -> None:
    file = backup / name
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes() + b"x" if damage == "longer" else b"")
    done = run("restore", environment | {"REPLACE": "1"}, str(backup))
    assert done.returncode == 1
    assert "nothing was restored" in done.stderr
    assert not Path(environment["ASKED"]).exists()


def test_restore_of_what_is_no_backup_is_refused(environment: dict[str, str], backup: Path) -> None:
    (backup / "manifest").unlink()
    assert "no backup, or one that was cut off" in run("restore", environment, str(backup)).stderr
    assert "name a backup" in run("restore", environment, "").stderr
    assert "there is no folder" in run("restore", environment, str(backup / "none")).stderr


def test_manifest_that_names_less_is_refused(environment: dict[str, str], backup: Path) -> None:
    lines = (backup / "manifest").read_text().splitlines(keepends=True)
    (backup / "manifest").write_text("".join(line for line in lines if "store.tar" not in line))
    done = run("restore", environment, str(backup))
    assert "manifest does not name store.tar" in done.stderr


def test_restore_that_is_cut_off_says_how_to_begin_again(
    environment: dict[str, str], backup: Path
) -> None:
    done = run("restore", environment | {"PG_RESTORE": "1"}, str(backup))
    assert done.returncode == 1
    assert "the restore was cut off" in done.stderr
    assert "REPLACE=1" in done.stderr
    assert "backup read" not in asked(environment)
