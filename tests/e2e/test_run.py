"""The whole pipeline as a user runs it: a process of its own, on simulated cameras."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline import keys
from pipeline.records import Detections, Policy
from services.maintenance.audit import audit
from traboule.workspace import Workspace, open_workspace

pytestmark = pytest.mark.e2e

FIRST_IMAGE_WITHIN_S = 20.0  # a few seconds, on a machine that has nothing else to do
ENDS_WITHIN_S = 60.0


@dataclass(frozen=True)
class Ended:
    status: int
    out: str
    err: str


def start(data: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "traboule", "run", "--no-browser", "--data", str(data)]
    # Without models and without a way to them: what the simulated city needs is built in.
    environment = os.environ | {
        "TRABOULE_MODELS_DIR": str(data.parent / "no-models"),
        "DETECTION_MODELS_CACHE": str(data.parent / "no-cache"),
        "HTTPS_PROXY": "http://127.0.0.1:9",
        "DISPLAY": ":77",
    }
    return subprocess.Popen(
        [*command, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def end(process: subprocess.Popen[str]) -> Ended:
    try:
        out, err = process.communicate(timeout=ENDS_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return Ended(process.returncode, out, err)


def wait_for_image(data: Path) -> None:
    ends_at = time.monotonic() + FIRST_IMAGE_WITHIN_S
    while not list((data / "store" / "images").rglob("*.jpg")):
        assert time.monotonic() < ends_at, "no image was kept in time"
        time.sleep(0.1)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@dataclass(frozen=True)
class Stored:
    images: set[str]
    detections: list[Detections]
    sheet: str


def read(data: Path) -> Stored:
    with closing(open_workspace(data)) as workspace:
        assert_agrees(workspace)
        store = workspace.store
        images = [keys.image_of(entry.key) for entry in store.list(keys.IMAGES)]
        found = [
            Detections.model_validate_json(store.get(entry.key).data)
            for entry in store.list(keys.DETECTIONS)
        ]
    assert len(set(images)) == len(images)
    assert sorted(images) == sorted(one.provenance.id for one in found)
    assert len({(one.provenance.source, one.provenance.sha256_received) for one in found}) == len(
        found
    )
    return Stored(set(images), found, (data / "sheet.html").read_text(encoding="utf-8"))


def assert_agrees(workspace: Workspace) -> None:
    audited = audit(workspace.catalog, workspace.store)
    assert audited.is_sound, audited.found


def test_run_keeps_images_and_a_second_run_goes_on(data: Path) -> None:
    began = time.monotonic()
    process = start(data, "--for", "25s", "--simulate", "3")
    wait_for_image(data)
    assert time.monotonic() - began < FIRST_IMAGE_WITHIN_S
    first_ended = end(process)
    assert (first_ended.status, first_ended.err) == (0, "")
    first = read(data)
    assert {one.provenance.source for one in first.detections} == {"sim-1", "sim-2", "sim-3"}
    assert {one.provenance.policy for one in first.detections} == {Policy.KEEP}
    assert {model.name for one in first.detections for model in one.models} == {
        "haar",
        "moving-object",
    }
    assert all(image in first.sheet for image in first.images)
    assert f"Contact sheet  {data / 'sheet.html'}" in first_ended.out

    second_ended = end(start(data, "--for", "8s", "--simulate", "2"))
    assert (second_ended.status, second_ended.err) == (0, "")
    second = read(data)
    assert second.images > first.images
    assert f"Continued      {len(first.images)} images from earlier runs" in second_ended.out
    new = {keys.source_of(image) for image in second.images - first.images}
    assert new <= {"sim-1", "sim-2"}  # sim-3 is paused: it is not simulated any more


@pytest.fixture
def running(data: Path) -> Iterator[subprocess.Popen[str]]:
    process = start(data, "--simulate", "2")
    yield process
    if process.poll() is None:
        process.kill()
        process.communicate()


def test_second_run_beside_the_first_is_refused(running: subprocess.Popen[str], data: Path) -> None:
    wait_for_image(data)
    refused = end(start(data, "--for", "5s", "--simulate", "1"))
    assert (refused.status, refused.out) == (1, "")
    assert refused.err.count("\n") == 1
    assert f"(process {running.pid}) works in {data}" in refused.err
    running.send_signal(signal.SIGTERM)
    assert end(running).status == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_run_ends_well_when_asked_to(
    running: subprocess.Popen[str], data: Path, number: signal.Signals
) -> None:
    wait_for_image(data)
    running.send_signal(number)
    ended = end(running)
    assert (ended.status, ended.err) == (0, "")
    for line in ("Polls  ", "Found  ", f"Contact sheet  {data / 'sheet.html'}"):
        assert line in ended.out
    stored = read(data)
    assert stored.images
    assert all(image in stored.sheet for image in stored.images)
