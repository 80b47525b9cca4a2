"""The Docker Engine that these tests need: whether it is there, images built once, no leftovers."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMPOSE_FILE = ROOT / "docker-compose.yml"
VERSION = os.environ.get("TRABOULE_VERSION", "local")  # the tag of our images
BASE_IMAGES = (
    os.environ.get("BROKER_IMAGE", "redis:8-trixie"),
    os.environ.get("CATALOG_IMAGE", "postgres:17-trixie"),
    os.environ.get("LABEL_STUDIO_IMAGE", "heartexlabs/label-studio:1.23.2"),
)
BUILT_FROM = ("python:3.13-slim-trixie", "golang:1-trixie")
OLDEST_COMPOSE = (2, 26)
BUILDS_WITHIN_S = 1500
_PROJECT = re.compile(r"traboule-test-(?P<pid>\d+)-[0-9a-f]{8}")


def require_engine() -> None:
    """Skips, with the reason, where the services cannot be run. Nothing is ever pulled."""
    if not os.environ.get("TRABOULE_TEST_ALL"):
        pytest.skip("Docker services are tried when TRABOULE_TEST_ALL is set: make test ALL=1")
    if why_not := _lacks():
        pytest.skip(why_not)


@cache
def build_images() -> None:
    """Every service's image, once; from the build cache where nothing has changed."""
    _remove_left_over()
    profiles = ("--profile", "simulation", "--profile", "cli")
    done = _run("compose", "--file", str(COMPOSE_FILE), *profiles, "build", "--quiet")
    assert done.returncode == 0, f"docker compose build: {done.stderr[-3000:]}"


@cache
def _lacks() -> str:
    """Why the services cannot be run here, if so."""
    if shutil.which("docker") is None or _run("info").returncode:
        return "no Docker Engine answers"
    version = _run("compose", "version", "--short").stdout.strip()
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    if numbers < OLDEST_COMPOSE:
        return f"Docker Compose 2.26 or newer is missing (found: {version or 'none'})"
    for image in (*BASE_IMAGES, *BUILT_FROM):
        if _run("image", "inspect", image).returncode:
            return f"there is no Docker image {image}"
    return ""


def _remove_left_over() -> None:
    """Stacks of a test run on this machine that was killed."""
    label = "com.docker.compose.project"
    told = _run(
        "ps", "--all", "--filter", f"label={label}", "--format", f'{{{{.Label "{label}"}}}}'
    )
    for project in sorted(set(told.stdout.split())):
        match = _PROJECT.fullmatch(project)
        if match and not Path(f"/proc/{match['pid']}").exists():
            options = ("--file", str(COMPOSE_FILE), "--project-name", project, "--profile", "*")
            _run("compose", *options, "down", "--volumes", "--remove-orphans", "--timeout", "0")


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["docker", *arguments],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=BUILDS_WITHIN_S,
    )
