"""`Retrieve predictions` in a real Label Studio, answered by the detectors."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from pipeline import keys
from pipeline.annotations import CLASSES
from pipeline.labels.interface import write_interface
from pipeline.storage import ObjectStore, StoredObject, open_store
from services.labeling.client import SdkStudio
from services.labeling.studio.connection import Connection
from services.labeling.studio.protocol import NewStudioTask
from services.labeling.tasks import open_studio
from tests.label_studio import People, StudioServer
from tests.ml_backend import PASSWORD, Painted, RunningBackend, paint, run_backend
from tests.runners import find_free_port
from traboule.labels.connecting import make_secrets
from traboule.labels.connection import KnownStudio, settings_of
from traboule.labels.installation import find_port
from traboule.labels.prediction_service import predicting
from traboule.workspace import open_workspace

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
MODELS = os.environ.get("TRABOULE_MODELS_DIR")
IMAGES = os.environ.get("TRABOULE_IMAGES_DIR")
OURS = "quai-20261121T091640Z-8be14bda"
VERSION = "yolox-nano 1f2e3d4c"


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return open_store((tmp_path / "store").as_uri())


@pytest.fixture
def backend(store: ObjectStore, tmp_path: Path) -> Iterator[RunningBackend]:
    with run_backend(store, tmp_path / "password") as running:
        yield running


@dataclass
class Desk:
    """A project in Label Studio, and what is done there."""

    studio: SdkStudio
    people: People
    project: int

    def add(self, *addresses: str, image_id: str | None = None) -> list[int]:
        known = {} if image_id is None else {"image_id": image_id}
        tasks = [NewStudioTask({"image": address, **known}) for address in addresses]
        return list(self.studio.import_tasks(self.project, tasks))

    def upload(self, *pictures: bytes) -> list[int]:
        names = [f"{number}.png" for number, _ in enumerate(pictures)]
        uploaded = zip(names, pictures, strict=True)
        return self.add(*(self.studio.upload(self.project, *one) for one in uploaded))

    def connect(self, url: str, password: str = PASSWORD, **more: Any) -> dict[str, Any]:
        body = {"project": self.project, "url": url, "title": "Traboule", **more}
        body |= {"auth_method": "BASIC_AUTH", "basic_auth_user": "label-studio"}
        return dict(self.people.ask("POST", "/api/ml", body | {"basic_auth_pass": password}))

    def retrieve(self, *tasks: int) -> None:
        self.people.act(self.project, "retrieve_tasks_predictions", tasks)

    def predictions(self, task: int) -> list[dict[str, Any]]:
        listed = self.people.ask("GET", f"/api/predictions/?task={task}&project={self.project}")
        return sorted(listed, key=lambda one: int(one["id"]))

    def labels(self, task: int) -> list[list[str]]:
        return [
            [label for region in one["result"] for label in region["value"]["rectanglelabels"]]
            for one in self.predictions(task)
        ]


@pytest.fixture
def desk(studio_server: StudioServer) -> Iterator[Desk]:
    with (
        closing(SdkStudio(studio_server.url, studio_server.token)) as studio,
        closing(People(studio_server.url, studio_server.token)) as people,
    ):
        title = f"Backend {uuid.uuid4().hex[:8]}"
        project = studio.create_project(title, write_interface(CLASSES))
        yield Desk(studio, people, project.id)


def test_predictions_are_retrieved_of_our_images_and_of_others(
    desk: Desk, backend: RunningBackend, store: ObjectStore
) -> None:
    store.put(keys.stored_image(OURS), StoredObject(paint("car"), "image/jpeg"))
    [ours] = desk.add("http://127.0.0.1:9/away.jpg", image_id=OURS)
    [uploaded] = desk.upload(paint("bus", "face"))
    connected = desk.connect(backend.url)
    assert (connected["readable_state"], connected["model_version"]) == ("Connected", VERSION)
    desk.retrieve(ours, uploaded)
    assert desk.labels(ours) == [["car"], []]
    assert desk.labels(uploaded) == [["bus"], ["face"]]
    first, second = desk.predictions(uploaded)
    assert (first["model_version"], second["model_version"]) == (VERSION, "yunet")
    assert first["score"] == pytest.approx(0.8)
    [region] = first["result"]
    place = {"x": 20, "y": 25, "width": 30, "height": 25, "rotation": 0}
    assert region["value"] == {**place, "rectanglelabels": ["bus"]}
    assert (region["original_width"], region["original_height"]) == (320, 240)


def test_model_is_asked_once_and_a_new_one_again(desk: Desk, backend: RunningBackend) -> None:
    [task] = desk.upload(paint("car"))
    desk.connect(backend.url)
    desk.retrieve(task)
    looks = backend.looks
    desk.retrieve(task)
    assert (len(desk.predictions(task)), backend.looks) == (2, looks)
    backend.detectors["yolox-nano"].sha256 = "abcdef01" * 8
    desk.retrieve(task)
    versions = [one["model_version"] for one in desk.predictions(task)]
    assert versions == [VERSION, "yunet", "yolox-nano abcdef01", "yunet"]


def test_bad_images_cost_good_ones_nothing_and_are_asked_about_again(
    desk: Desk, backend: RunningBackend, store: ObjectStore
) -> None:
    [good] = desk.upload(paint("car"))
    [broken, empty] = desk.upload(b"\x89PNG\r\n\x1a\n broken", paint())
    [private, missing] = desk.add("http://127.0.0.1:9/x.jpg", "/data/upload/1/00000000-x.jpg")
    [gone] = desk.add("s3://nowhere/x.jpg", image_id=OURS)
    bad = [broken, empty, private, missing, gone]
    desk.connect(backend.url)
    desk.retrieve(broken, empty, private, good, missing, gone)
    assert desk.labels(good) == [["car"], []]
    assert [desk.predictions(task) for task in bad] == [[]] * 5
    store.put(keys.stored_image(OURS), StoredObject(paint("bus"), "image/jpeg"))
    desk.retrieve(*bad)
    assert desk.labels(gone) == [["bus"], []]
    assert [desk.predictions(task) for task in bad[:-1]] == [[]] * 4


def test_empty_answer_does_not_keep_a_later_run_from_asking(
    desk: Desk, backend: RunningBackend
) -> None:
    [task] = desk.upload(paint("face"))
    backend.detectors["yunet"].labels = ()  # it misses the face
    desk.connect(backend.url)
    desk.retrieve(task)
    assert desk.predictions(task) == []
    backend.detectors["yunet"].labels = ("face",)
    desk.retrieve(task)
    assert desk.labels(task) == [[], ["face"]]


def test_missing_model_is_got_over(desk: Desk, backend: RunningBackend) -> None:
    [task] = desk.upload(paint("car"))
    backend.missing.add("yolox-nano")
    assert desk.connect(backend.url)["model_version"] is None
    desk.retrieve(task)
    assert desk.predictions(task) == []
    backend.missing.clear()
    desk.retrieve(task)
    assert desk.labels(task) == [["car"], []]


def test_wrong_password_is_refused(desk: Desk, backend: RunningBackend, tmp_path: Path) -> None:
    with pytest.raises(requests.HTTPError, match="400"):
        desk.connect(backend.url, "guess")
    [task] = desk.upload(paint("car"))
    desk.connect(backend.url)
    (tmp_path / "password").write_text("another")
    desk.retrieve(task)
    assert (desk.predictions(task), backend.looks) == ([], 0)
    (tmp_path / "password").write_text(PASSWORD)
    desk.retrieve(task)
    assert desk.labels(task) == [["car"], []]


def test_interface_without_our_labels_is_refused_with_the_reason(
    desk: Desk, backend: RunningBackend
) -> None:
    desk.studio.change_interface(desk.project, write_interface(["cat", "dog"]))
    with pytest.raises(requests.HTTPError, match="400"):
        desk.connect(backend.url)


def test_whoever_draws_is_answered_with_one_prediction(desk: Desk, backend: RunningBackend) -> None:
    [found, empty] = desk.upload(paint("car", "face"), paint())
    number = desk.connect(backend.url, is_interactive=True)["id"]
    desk.retrieve(empty)
    for task, labels in ((found, ["car", "face"]), (empty, [])):
        body = {"task": task, "context": {"result": []}}
        answer = desk.people.ask("POST", f"/api/ml/{number}/interactive-annotating", body)
        regions = answer["data"]["result"]
        assert [one["value"]["rectanglelabels"] for one in regions] == [[one] for one in labels]
        assert answer["data"]["model_version"] == VERSION


def test_own_studio_retrieves_what_is_predicted_beside_it_whichever_began_first(
    studio_server: StudioServer, desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `labels serve` has it, with the addresses and the password of the data folder."""
    detectors = {"yolox-nano": Painted(), "yunet": Painted("yunet", ("face",), None, True)}
    monkeypatch.setattr(
        "services.detection.backend.serving.keep_detectors",
        lambda models: lambda names: [detectors[name] for name in names],
    )
    make_secrets(tmp_path / "data")
    images_port = find_free_port()
    (tmp_path / "token").write_text(studio_server.token)
    known = KnownStudio(
        url=studio_server.url,
        token_file=tmp_path / "token",
        project=f"Own {uuid.uuid4().hex[:8]}",
        images_port=images_port,
        backend_port=find_port(images_port + 1),
        is_ours=True,
    )
    settings, now = settings_of(tmp_path / "data", known), [datetime.now(UTC)]
    with closing(open_workspace(tmp_path / "data")) as workspace:
        projects = workspace.catalog.labeling_projects
        connection = Connection(settings, projects, open_studio, lambda: now[0])
        with connection.session() as connected:
            assert connected is not None
            [problem] = connected.problems
            assert problem.startswith("its ML backend could not be set up")
        workspace.store.put(keys.stored_image(OURS), StoredObject(paint("bus"), "image/jpeg"))
        with predicting(settings, workspace.store, pytest.fail):
            now[0] += timedelta(minutes=1)
            with connection.session() as connected:
                assert connected is not None and connected.problems == []
                desk.project = connected.project.id
            [task] = desk.add("http://127.0.0.1:9/away.jpg", image_id=OURS)
            desk.retrieve(task)
        connection.close()
    assert desk.labels(task) == [["bus"], []]


@dataclass
class Process:
    """`python -m services.detection.backend`, as compose starts it."""

    folder: Path
    environment: dict[str, str]
    port: int

    def __enter__(self) -> Process:
        command = [sys.executable, "-m", "services.detection.backend"]
        environment = {**os.environ, **self.environment}
        with (self.folder / "log").open("wb") as log:
            self.running = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=log)
        try:
            self.wait_until(lambda: self.ask("/health") is not None)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *failure: object) -> None:
        self.running.terminate()
        try:
            self.running.wait(60)
        finally:
            self.running.kill()
            self.running.wait()

    def wait_until(self, condition: Callable[[], bool]) -> None:
        ends_at = time.monotonic() + 120
        while not condition():
            assert self.running.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < ends_at, "did not happen in time"
            time.sleep(0.1)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, path: str, body: object = None) -> requests.Response | None:
        login = ("label-studio", PASSWORD)
        try:
            if body is None:
                return requests.get(self.url + path, auth=login, timeout=60)
            return requests.post(self.url + path, auth=login, json=body, timeout=60)
        except requests.RequestException:
            return None


@pytest.fixture
def process(tmp_path: Path, store: ObjectStore) -> Process:
    (tmp_path / "password").write_text(PASSWORD)
    port = find_free_port()
    environment = {
        "PIPELINE_STORE_URL": (tmp_path / "store").as_uri(),
        "PIPELINE_HEALTH_FILE": str(tmp_path / "healthy"),
        "DETECTION_BACKEND_PORT": str(port),
        "DETECTION_BACKEND_PASSWORD_FILE": str(tmp_path / "password"),
        "DETECTION_MODELS_CACHE": str(tmp_path / "models"),
        "TRABOULE_MODELS_DIR": MODELS or str(tmp_path / "models"),
    }
    return Process(tmp_path, environment, port)


def test_process_answers_without_models_and_ends_when_told(process: Process) -> None:
    process.environment["TRABOULE_MODELS_DIR"] = str(process.folder / "models")
    with process:
        body = {"tasks": [], "label_config": write_interface(CLASSES)}
        answer = process.ask("/predict", body)
        assert answer is not None
        assert (answer.status_code, "yolox-nano" in answer.json()["error"]) == (503, True)
        process.wait_until((process.folder / "healthy").exists)
    assert process.running.returncode == 0
    assert PASSWORD not in (process.folder / "log").read_text()


@pytest.mark.skipif(
    not (MODELS and IMAGES), reason="set TRABOULE_MODELS_DIR and TRABOULE_IMAGES_DIR"
)
def test_real_models_box_photographs(desk: Desk, store: ObjectStore, process: Process) -> None:
    street = sorted(Path(IMAGES or "", "street").glob("*.jpg"))[0].read_bytes()
    people = sorted(Path(IMAGES or "", "faces_groups").glob("*.jpg"))[0].read_bytes()
    store.put(keys.stored_image(OURS), StoredObject(street, "image/jpeg"))
    [ours] = desk.add("http://127.0.0.1:9/away.jpg", image_id=OURS)
    [uploaded] = desk.upload(people)
    with process:
        desk.connect(process.url)
        desk.retrieve(ours, uploaded)
    assert {label for found in desk.labels(ours) for label in found} & {"car", "bus", "person"}
    road_users, faces = desk.labels(uploaded)
    assert "person" in road_users
    assert set(faces) == {"face"}
