"""The round trip as a person makes it: commands in processes of their own, a real Label Studio."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
import supervision

from tests.factories import MORNING, Wanted, make_camera, make_image
from tests.label_studio import CACHE, HOW, People, StudioServer
from tests.round_trip import box
from tests.runners import find_free_port
from tests.waiting import wait_until
from traboule.labels.installation import find_program
from traboule.workspace import open_workspace

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]

WITHIN_S = 600.0  # a first start makes a database


@dataclass(frozen=True)
class Ran:
    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class Person:
    """Whoever types commands about the data folder."""

    data: Path

    def labels(self, *words: str) -> Ran:
        return self.run("labels", *words)

    def run(self, *words: str) -> Ran:
        return wait_for_end(self.start(*words))

    def start(self, *words: str) -> subprocess.Popen[str]:
        environment = os.environ | {
            "TRABOULE_DATA": str(self.data),
            "TRABOULE_MODELS_DIR": str(self.data / "no-models"),
            "DETECTION_MODELS_CACHE": str(self.data / "no-cache"),
            "HTTPS_PROXY": "http://127.0.0.1:9",
            "PYTHONUNBUFFERED": "1",
        }
        environment.pop("PIPELINE_CATALOG_URL", None)
        return subprocess.Popen(
            [sys.executable, "-m", "traboule", *words],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    @property
    def state(self) -> Any:
        return self.labels("status", "--json").json

    @property
    def cameras(self) -> Any:
        return self.run("status", "--json").json["cameras"]


@pytest.fixture
def person(tmp_path: Path) -> Person:
    return Person(tmp_path / "data")


@pytest.fixture
def images(person: Person) -> list[str]:
    """Four images of one camera, detected."""
    with closing(open_workspace(person.data)) as workspace:
        make_camera(workspace, paused=True)
        times = (MORNING + timedelta(seconds=n) for n in range(4))
        return [make_image(workspace, Wanted(at=at, labels={"car": 2})) for at in times]


@pytest.fixture
def people(studio_server: StudioServer) -> Iterator[People]:
    with closing(People(studio_server.url, studio_server.annotator_token)) as people:
        yield people


@pytest.fixture
def project(person: Person, studio_server: StudioServer, tmp_path: Path) -> int:
    """The number of a project that this data folder is connected to."""
    token_file = tmp_path / "token"
    token_file.write_text(studio_server.token)
    token_file.chmod(0o600)
    title = f"Lyon {uuid.uuid4().hex[:8]}"
    words = ("--token-file", str(token_file), "--project", title)
    ran = person.labels("connect", studio_server.url, *words)
    assert (ran.status, ran.err) == (0, "")
    assert studio_server.token not in ran.out
    found = re.search(r"/projects/(\d+)", ran.out)
    assert found is not None
    return int(found[1])


def tasks_of(people: People, project: int) -> dict[str, Any]:
    """By the image's id."""
    listed = people.ask("GET", f"/api/tasks?project={project}&fields=all&page_size=100")["tasks"]
    tasks = {task["data"]["image_id"]: task for task in listed}
    assert len(tasks) == len(listed), "an image has two tasks"
    return tasks


def test_correction_made_in_label_studio_is_in_the_set(
    person: Person, images: list[str], people: People, project: int, tmp_path: Path
) -> None:
    assert person.labels("push", "--limit", "3").out.startswith("3 sent, 0 were sent before")
    assert person.labels("push", "--all").out.startswith("1 sent, 3 were sent before")
    assert person.labels("push", *images).out.startswith("0 sent, 4 were sent before")
    tasks = tasks_of(people, project)
    assert sorted(tasks) == images
    [prediction] = tasks[images[0]]["predictions"]
    assert [one["value"]["rectanglelabels"] for one in prediction["result"]] == [["car"]] * 2

    corrected = people.annotate(tasks[images[0]]["id"], prediction["result"])
    people.annotate(tasks[images[1]]["id"], [])
    people.annotate(tasks[images[2]]["id"], [], was_cancelled=True)
    assert person.labels("pull").out == "received 3 annotations\n"
    people.change_annotation(corrected, result=[box("truck")])
    assert person.labels("pull").out == "received 1 annotation\n"
    state = person.state
    assert state["tasks"] == {"sent": 4}
    assert state["annotations"] == {"labelled": 1, "negative": 1, "skipped": 1}

    out = tmp_path / "set"
    ran = person.labels("export", "--format", "yolo", str(out))
    assert (ran.status, ran.err) == (0, "")
    assert "not in the set: 1, it was skipped" in ran.out
    opened = supervision.DetectionDataset.from_yolo(
        str(out / "images"), str(out / "labels"), str(out / "data.yaml")
    )
    found = {Path(path).stem: opened.annotations[path] for path in opened.image_paths}
    assert sorted(found) == images[:2]
    [truck] = found[images[0]].xyxy.tolist()
    assert truck == pytest.approx([32, 48, 128, 144], abs=0.01)
    assert [opened.classes[n] for n in found[images[0]].class_id or ()] == ["truck"]
    assert len(found[images[1]]) == 0


def test_run_sends_shows_and_follows_by_itself(
    person: Person, images: list[str], people: People, project: int
) -> None:
    process = person.start("run", "--no-browser", "--simulate", "1")
    try:
        wait_until(lambda: set(images) <= tasks_of(people, project).keys())
        task = tasks_of(people, project)[images[0]]
        shown = requests.get(task["data"]["image"], timeout=60)
        assert (shown.status_code, shown.headers["content-type"]) == (200, "image/jpeg")
        unsigned = task["data"]["image"].partition("?")[0]
        assert requests.get(unsigned, timeout=60).status_code == 404
        people.annotate(task["id"], [box("bus")])
        assert person.labels("push", "--all").status == 0, "beside the run"
        wait_until(lambda: person.state["annotations"].get("labelled") == 1)
    finally:
        process.send_signal(signal.SIGINT)
        ran = wait_for_end(process)
    assert (ran.status, ran.err) == (0, "")
    assert "annotations: 1 labelled" in ran.out
    tasks_of(people, project)


def test_run_is_not_disturbed_by_a_label_studio_that_is_gone(
    person: Person, images: list[str], people: People, project: int
) -> None:
    people.delete_project(project)
    process = person.start("run", "--no-browser", "--simulate", "1")
    try:
        wait_until(lambda: person.state["reason"] != "")
        wait_until(lambda: any(camera["outcome"] for camera in person.cameras))
    finally:
        process.send_signal(signal.SIGINT)
        ran = wait_for_end(process)
    assert (ran.status, ran.err) == (0, "")
    assert "Label Studio fails" in ran.out
    assert "traboule labels connect" in ran.out
    assert re.search(r"Polls +[1-9]", ran.out)
    pushed = person.labels("push", "--all")
    assert (pushed.status, pushed.err.count("\n")) == (1, 1)
    assert person.labels("connect").status == 0, "which makes it anew"
    assert person.labels("push", *images).out.startswith("4 sent")


def test_predictions_from_a_file_are_shown_once(
    person: Person, images: list[str], people: People, project: int, tmp_path: Path
) -> None:
    folder = tmp_path / "guesses"
    (folder / "labels").mkdir(parents=True)
    (folder / "data.yaml").write_text("names: [car]\n")
    for image in images[:2]:
        (folder / "labels" / f"{image}.txt").write_text("0 0.5 0.5 0.25 0.25\n")
    person.labels("push", images[0])
    for taken in (1, 0):
        ran = person.labels("import", str(folder), "--as", "predictions")
        assert (ran.status, ran.out.split()[0]) == (0, str(taken))
        assert "is not in Label Studio" in ran.out
    versions = [one["model_version"] for one in tasks_of(people, project)[images[0]]["predictions"]]
    assert versions.count("guesses") == 1
    ran = person.labels("import", str(folder), "--author", "eve@example.com")
    assert ran.out.startswith("2 annotations taken")


def test_serve_runs_one_of_our_own_and_ends_it(person: Person, images: list[str]) -> None:
    if find_program(CACHE) is None:
        pytest.skip(HOW)
    port = find_free_port()
    process = person.start("labels", "serve", "--port", str(port))
    try:
        wait_until(lambda: person.labels("status").status == 0 and "sent" in person.state["tasks"])
        token = (person.data / "labeling" / "label-studio" / "token").read_text().strip()
        with closing(People(f"http://127.0.0.1:{port}", token)) as people:
            task = tasks_of(people, 1)[images[0]]
            assert requests.get(task["data"]["image"], timeout=60).status_code == 200
            people.annotate(task["id"], [box()])
            wait_until(lambda: person.state["annotations"] == {"labelled": 1})
        second = person.labels("serve")
        assert second.status == 1
        assert "already: end it first" in second.err
    finally:
        process.send_signal(signal.SIGINT)
        ran = wait_for_end(process)
    assert (ran.status, ran.err) == (0, "")
    assert f"Sign in at http://127.0.0.1:{port} as traboule@localhost; password: " in ran.out
    assert "received 1 annotation" in ran.out
    with pytest.raises(requests.ConnectionError):
        requests.get(f"http://127.0.0.1:{port}/health", timeout=60)


def wait_for_end(process: subprocess.Popen[str]) -> Ran:
    """Killed, with what it started, where it does not end."""
    with process:
        try:
            out, err = process.communicate(timeout=WITHIN_S)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return Ran(process.returncode, out, err)
