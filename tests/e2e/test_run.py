"""The whole pipeline as a user runs it: a process of its own, on simulated cameras."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Set
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline import keys
from pipeline.records import Detections, Policy
from services.maintenance.audit import audit
from tests.waiting import wait_until
from traboule.workspace import Workspace, open_workspace

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

FIRST_IMAGES_WITHIN_S = 90.0  # ten seconds, on a machine that has nothing else to do
ENDS_WITHIN_S = 180.0


@dataclass(frozen=True)
class Ended:
    status: int
    out: str
    err: str


@contextmanager
def started(data: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Killed at the end, where it still runs then."""
    command = [sys.executable, "-m", "traboule", "run", "--no-browser", "--data", str(data)]
    # Without models and without a way to them: what the simulated city needs is built in.
    environment = os.environ | {
        "TRABOULE_MODELS_DIR": str(data.parent / "no-models"),
        "DETECTION_MODELS_CACHE": str(data.parent / "no-cache"),
        "HTTPS_PROXY": "http://127.0.0.1:9",
        "DISPLAY": ":77",
    }
    with subprocess.Popen(
        [*command, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def end(process: subprocess.Popen[str], by: signal.Signals = signal.SIGINT) -> Ended:
    process.send_signal(by)
    return wait_for_end(process)


def wait_for_end(process: subprocess.Popen[str]) -> Ended:
    out, err = process.communicate(timeout=ENDS_WITHIN_S)
    return Ended(process.returncode, out, err)


def wait_for_images(data: Path, *cameras: str, besides: Set[str] = frozenset()) -> None:
    """Until each of the cameras has one."""

    def have_one() -> bool:
        return {keys.source_of(image) for image in list_images(data) - besides} >= {*cameras}

    wait_until(have_one, FIRST_IMAGES_WITHIN_S, "an image is kept")


def list_images(data: Path) -> set[str]:
    return {path.stem for path in (data / "store" / "images").rglob("*.jpg")}


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
    with started(data, "--simulate", "3") as process:
        wait_for_images(data, "sim-1", "sim-2", "sim-3")
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

    with started(data, "--simulate", "2") as process:
        wait_for_images(data, "sim-1", besides=first.images)
        second_ended = end(process)
    assert (second_ended.status, second_ended.err) == (0, "")
    second = read(data)
    assert second.images > first.images
    assert f"Continued      {len(first.images)} images from earlier runs" in second_ended.out
    new = {keys.source_of(image) for image in second.images - first.images}
    assert new <= {"sim-1", "sim-2"}  # sim-3 is paused: it is not simulated any more


def test_run_ends_when_its_time_is_over(data: Path) -> None:
    with started(data, "--for", "2s", "--simulate", "1") as process:
        ended = wait_for_end(process)
    assert (ended.status, ended.err) == (0, "")
    assert f"Contact sheet  {data / 'sheet.html'}" in ended.out


@pytest.fixture
def running(data: Path) -> Iterator[subprocess.Popen[str]]:
    with started(data, "--simulate", "2") as process:
        yield process


def test_second_run_beside_the_first_is_refused(running: subprocess.Popen[str], data: Path) -> None:
    wait_for_images(data, "sim-1")
    with started(data, "--simulate", "1") as process:
        refused = wait_for_end(process)
    assert (refused.status, refused.out) == (1, "")
    assert refused.err.count("\n") == 1
    assert f"(process {running.pid}) works in {data}" in refused.err
    assert end(running, signal.SIGTERM).status == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_run_ends_well_when_asked_to(
    running: subprocess.Popen[str], data: Path, number: signal.Signals
) -> None:
    wait_for_images(data, "sim-1")
    ended = end(running, number)
    assert (ended.status, ended.err) == (0, "")
    for line in ("Polls  ", "Found  ", f"Contact sheet  {data / 'sheet.html'}"):
        assert line in ended.out
    stored = read(data)
    assert stored.images
    assert all(image in stored.sheet for image in stored.images)
