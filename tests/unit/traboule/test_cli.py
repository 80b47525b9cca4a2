from __future__ import annotations

import subprocess
import sys
from datetime import timedelta

import pytest

from tests.factories import MORNING, Wanted, make_camera, make_image
from traboule.workspace import Workspace

SERVERS = ("redis", "minio", "psycopg")
HEAVY = (
    *("celery", "cv2", "onnxruntime", "PIL", "sqlalchemy", "numpy", "alembic", "jinja2"),
    *("label_studio_sdk", "pandas", "httpx", "starlette", "uvicorn", "yaml", "defusedxml"),
    *SERVERS,
)
ONLY_FOR_WORK = (
    *("PIL", "numpy", "scipy", "imagehash", "cv2", "onnxruntime"),
    *("celery", "requests", "alembic", "jinja2"),
    *("label_studio_sdk", "pandas", "httpx", "starlette", "uvicorn"),
    *SERVERS,
)
LOADED = """
import sys
from traboule.__main__ import run_command
status = run_command(sys.argv[2:])
print(status, *sorted(set(sys.argv[1].split(",")) & set(sys.modules)), file=sys.stderr)
"""
COMMANDS = (
    "cameras",
    "images",
    "drops",
    "sheet",
    "models",
    "rebuild-catalog",
    "run",
    "simulate",
    "status",
    "summary",
    "doctor",
    "labels",
)


def traboule(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "traboule", *arguments], capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize(
    "command", [[], ["images"], ["cameras", "add"], ["sheet"], ["labels", "serve"]]
)
def test_help_imports_nothing_heavy(command: list[str]) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", LOADED, ",".join(HEAVY), *command, "--help"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "Usage: traboule" in ran.stdout
    assert ran.stderr.split() == ["0"]


@pytest.mark.parametrize(
    "command",
    [
        ["images", "list"],
        ["images", "show", "IMAGE"],
        ["drops", "list"],
        ["cameras", "list"],
        ["status"],
        ["summary"],
        ["models", "list"],
        ["labels", "status"],
    ],
)
def test_looking_imports_nothing_that_only_work_needs(
    command: list[str], workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_camera(workspace)
    image = make_image(workspace, Wanted())
    make_image(workspace, Wanted(at=MORNING + timedelta(minutes=1), state="dropped"))
    workspace.catalog.labeling_projects.contacted("http://127.0.0.1:9#1", MORNING)
    assert workspace.data is not None
    monkeypatch.setenv("TRABOULE_DATA", str(workspace.data))
    monkeypatch.delenv("PIPELINE_CATALOG_URL", raising=False)
    words = [image if word == "IMAGE" else word for word in command]
    ran = subprocess.run(
        [sys.executable, "-c", LOADED, ",".join(ONLY_FOR_WORK), *words],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.stdout
    assert ran.stderr.splitlines()[-1] == "0"


def test_help_names_every_command() -> None:
    ran = traboule("--help")
    assert ran.returncode == 0
    assert all(command in ran.stdout for command in COMMANDS)


def test_help_says_what_happens_without_an_option() -> None:
    told = " ".join(traboule("run", "--help").stdout.split())
    assert "until Ctrl-C" in told
    assert "Grand Lyon's" in told


def test_version_is_said() -> None:
    ran = traboule("--version")
    assert (ran.returncode, ran.stdout) == (0, "traboule 0.1.0\n")


def test_a_users_mistake_is_one_line_and_status_1() -> None:
    ran = traboule("images", "list", "--data", "/nowhere/at/all")
    assert ran.returncode == 1
    assert ran.stdout == ""
    assert ran.stderr.startswith("traboule: there is no folder /nowhere/at/all")
    assert ran.stderr.count("\n") == 1


def test_an_unknown_command_is_status_2() -> None:
    ran = traboule("picturs")
    assert ran.returncode == 2
    assert "No such command" in ran.stderr
