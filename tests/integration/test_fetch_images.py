"""Fetching that is killed, and fetching from a real Label Studio."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
import supervision

from services.labeling.fetching.files import StudioFiles
from services.labeling.fetching.folder import FetchRefused
from services.labeling.fetching.images import fetch_export, fetch_images
from services.labeling.fetching.report import FetchOptions
from services.labeling.fetching.session import Patience, PatientSession
from services.labeling.fetching.task_images import locate
from services.labeling.fetching.task_pages import list_images
from services.labeling.studio.failures import ProjectMissing, StudioRefused
from tests.label_studio import People, StudioServer
from tests.studio_stand_in import LEGACY_TOKEN, StandIn, draw, stand_in_studio

pytestmark = pytest.mark.integration

IMAGES = 60
RUN = """
import sys
from pathlib import Path
from services.labeling.fetching.report import FetchOptions
from services.labeling.fetching.images import fetch_images
from services.labeling.fetching.files import StudioFiles
labels, url, token_file, out = sys.argv[1:]
studio = StudioFiles(url, Path(token_file).read_text)
fetch_images(Path(labels), studio, Path(out), FetchOptions(images_per_s=50))
"""


@pytest.fixture
def studio() -> Iterator[StandIn]:
    with stand_in_studio() as made:
        for number in range(IMAGES):
            made.add_task(number, f"/data/upload/2/{number:08x}-x.jpg")
            made.private[f"/data/upload/2/{number:08x}-x.jpg"] = draw(size=(64 + number, 48))
        yield made


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    folder = tmp_path / "export" / "labels"
    folder.mkdir(parents=True)
    for number in range(IMAGES):
        (folder / f"{number:08x}-x.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    return folder


def images_in(out: Path) -> list[Path]:
    return sorted((out / "images").glob("*.jpg")) if out.exists() else []


def start(labels: Path, studio: StandIn, out: Path) -> subprocess.Popen[bytes]:
    token_file = labels.parent / "token"
    token_file.write_text(LEGACY_TOKEN)
    token_file.chmod(0o600)
    arguments = [str(labels), studio.url, str(token_file), str(out)]
    root = Path(__file__).parents[2]
    return subprocess.Popen([sys.executable, "-c", RUN, *arguments], cwd=root, env=dict(os.environ))


def hold_after(count: int, out: Path, studio: StandIn) -> threading.Event:
    """It gives no more than so many until the event is set: no run ends before it is killed."""
    killed = threading.Event()
    studio.before_giving = lambda: len(images_in(out)) < count or killed.wait()
    return killed


def test_killed_runs_go_on_until_everything_is_there_once(
    studio: StandIn, labels: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    for wanted in (8, 20, 32):
        killed = hold_after(wanted + 10, out, studio)
        process = start(labels, studio, out)
        ends_at = time.monotonic() + 60
        while len(images_in(out)) < wanted and time.monotonic() < ends_at:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        killed.set()
        assert process.wait() == -signal.SIGKILL  # it was killed at work, not after
        assert wanted <= len(images_in(out)) < IMAGES
    assert start(labels, studio, out).wait() == 0
    assert [path.stem for path in images_in(out)] == [f"{n:08x}-x" for n in range(IMAGES)]
    for number, path in enumerate(images_in(out)):
        assert path.read_bytes() == draw(size=(64 + number, 48))
    asked = [path for path in studio.paths() if path.startswith("/data/upload/")]
    assert IMAGES <= len(asked) <= IMAGES + 3  # one image was in hand at each kill
    assert sorted(path.name for path in (out / "images").iterdir()) == [
        path.name for path in images_in(out)
    ]


def test_images_are_fetched_at_five_a_second_unless_told_otherwise(
    studio: StandIn, labels: Path, tmp_path: Path
) -> None:
    for path in sorted(labels.iterdir())[11:]:
        path.unlink()
    session = PatientSession(patience=Patience())
    files = StudioFiles(studio.url, lambda: LEGACY_TOKEN, session)
    started_s = time.monotonic()
    report = fetch_images(labels, files, tmp_path / "out", FetchOptions())
    session.close()
    assert len(report.fetched) == 11
    assert time.monotonic() - started_s >= 2.0


INTERFACE = (
    '<View><Image name="image" value="$image"/><RectangleLabels name="label" toName="image">'
    '<Label value="truck" category="1"/><Label value="car" category="0"/>'
    "</RectangleLabels></View>"
)
CARS = [
    {
        "from_name": "label",
        "to_name": "image",
        "type": "rectanglelabels",
        "original_width": 64,
        "original_height": 48,
        "value": {"x": 10, "y": 20, "width": 30, "height": 40, "rectanglelabels": ["car"]},
    }
]


@pytest.fixture
def people(studio_server: StudioServer) -> Iterator[People]:
    made = People(studio_server.url, studio_server.token)
    yield made
    made.close()


@pytest.fixture
def project(people: People) -> int:
    body = {"title": "by hand", "label_config": INTERFACE}
    return int(people.ask("POST", "/api/projects/", body)["id"])


def upload(server: StudioServer, project: int, name: str, data: bytes) -> int:
    answer = requests.post(
        f"{server.url}/api/projects/{project}/import?return_task_ids=true",
        headers={"Authorization": f"Token {server.token}"},
        files={"file": (name, data)},
        timeout=60,
    )
    answer.raise_for_status()
    return int(answer.json()["task_ids"][0])


def personal_token(server: StudioServer) -> str:
    answer = requests.post(
        f"{server.url}/api/token/",
        headers={"Authorization": f"Token {server.token}"},
        timeout=60,
    )
    answer.raise_for_status()
    return str(answer.json()["token"])


def test_export_of_a_real_label_studio_gets_its_images_back(
    studio_server: StudioServer, people: People, project: int, studio: StandIn, tmp_path: Path
) -> None:
    pictures = {
        "photo 01 (copy).jpg": draw("red"),
        "straße_ü.jpg": draw("blue"),
        "a.jpg": draw("green"),
        "A.png": draw("yellow", format="PNG"),
    }
    tasks = [upload(studio_server, project, name, data) for name, data in pictures.items()]
    for number in (1, 2):
        studio.public[f"/cam{number}/my truck.jpg"] = draw(size=(64, 50 + number))
    urls = [f"{studio.url}/cam1/my%20truck.jpg", f"{studio.url}/cam2/my truck.jpg?x=1"]
    bodies = [{"data": {"image": url}} for url in (*urls, f"{studio.url}/gone.jpg")]
    imported = people.ask("POST", f"/api/projects/{project}/import?return_task_ids=true", bodies)
    tasks += imported["task_ids"]
    for task in tasks:
        people.annotate(task, CARS)
    upload(studio_server, project, "unseen.jpg", draw())
    archive = tmp_path / "export.zip"
    archive.write_bytes(export(studio_server, project, "&download_all_tasks=true"))
    token, out = personal_token(studio_server), tmp_path / "out"
    session = PatientSession(patience=Patience(sleep=lambda wait_s: None))
    files = StudioFiles(studio_server.url, lambda: token, session)
    report = fetch_images(archive, files, out, FetchOptions(project=project, images_per_s=100))
    session.close()
    assert list(report.missing.values()) == [f"127.0.0.1:{studio.port} answered 404"]
    assert (report.ambiguous, report.not_images) == ({}, {})
    assert [path[-10:] for path in report.unlabelled] == ["unseen.txt"]
    assert {path.read_bytes() for path in (out / "images").iterdir()} == {
        *pictures.values(),
        draw(size=(64, 51)),
        draw(size=(64, 52)),
    }
    assert {path.read_text() for path in (out / "labels").iterdir()} == {"0 0.25 0.4 0.3 0.4\n"}
    assert "0: car\n  1: truck" in (out / "data.yaml").read_text()
    assert {one.authorization for one in studio.asked} == {None}
    opened = supervision.DetectionDataset.from_yolo(
        str(out / "images"), str(out / "labels"), str(out / "data.yaml")
    )
    assert opened.classes == ["car", "truck"]
    assert [len(opened.annotations[path]) for path in opened.image_paths] == [1] * 6


def test_folder_follows_what_people_take_back_in_a_real_label_studio(
    studio_server: StudioServer, people: People, project: int, tmp_path: Path
) -> None:
    names = ("kept", "unlabelled", "deleted")
    tasks = {name: upload(studio_server, project, f"{name}.jpg", draw()) for name in names}
    said = {name: people.annotate(task, CARS) for name, task in tasks.items()}
    session = PatientSession(patience=Patience(sleep=lambda wait_s: None))
    files = StudioFiles(studio_server.url, lambda: studio_server.token, session)
    options, out = FetchOptions(images_per_s=100), tmp_path / "out"
    assert len(fetch_export(files, project, out, options).fetched) == 3
    people.ask("DELETE", f"/api/annotations/{said['unlabelled']}/")
    people.ask("DELETE", f"/api/tasks/{tasks['deleted']}/")
    report = fetch_export(files, project, out, options)
    assert [name.partition("-")[2] for name in sorted(report.withdrawn, key=len)] == [
        "deleted",
        "unlabelled",
    ]
    assert [path.stem.partition("-")[2] for path in (out / "images").iterdir()] == ["kept"]
    assert [path.stem.partition("-")[2] for path in (out / "labels").iterdir()] == ["kept"]
    people.ask("DELETE", f"/api/annotations/{said['kept']}/")
    assert len(fetch_export(files, project, out, options).withdrawn) == 1
    assert not any((out / "images").iterdir()) and not any((out / "labels").iterdir())
    with pytest.raises(ProjectMissing, match="has no /api/projects/987654/"):
        fetch_export(files, 987_654, out, options)
    stranger = StudioFiles(studio_server.url, lambda: "0" * 40, session)
    with pytest.raises(StudioRefused, match="does not know the token"):
        fetch_export(stranger, project, out, options)
    session.close()


def test_folder_of_one_project_of_a_real_label_studio_takes_no_other(
    studio_server: StudioServer, people: People, project: int, tmp_path: Path
) -> None:
    body = {"title": "another", "label_config": INTERFACE}
    another, out = int(people.ask("POST", "/api/projects/", body)["id"]), tmp_path / "out"
    for number in (project, another):
        people.annotate(upload(studio_server, number, "a.jpg", draw()), CARS)
    session = PatientSession(patience=Patience(sleep=lambda wait_s: None))
    files = StudioFiles(studio_server.url, lambda: studio_server.token, session)
    for _ in range(2):
        fetch_export(files, project, out)
        with pytest.raises(FetchRefused, match="filled from another project"):
            fetch_export(files, another, out)
    session.close()
    assert len(list((out / "images").iterdir())) == 1


def test_file_that_a_real_label_studio_lost_is_missing_and_the_rest_fetched(
    studio_server: StudioServer, people: People, project: int, tmp_path: Path
) -> None:
    for name in ("kept.jpg", "lost.jpg"):
        people.annotate(upload(studio_server, project, name, draw()), CARS)
    archive = tmp_path / "export.zip"
    archive.write_bytes(export(studio_server, project))
    for path in studio_server.folder.rglob("*-lost.jpg"):
        path.unlink()
    session = PatientSession(patience=Patience(sleep=lambda wait_s: None))
    files = StudioFiles(studio_server.url, lambda: studio_server.token, session)
    report = fetch_images(archive, files, tmp_path / "out", FetchOptions(images_per_s=100))
    session.close()
    assert len(report.fetched) == 1
    (reason,) = report.missing.values()
    assert "an uploaded file is gone" in reason


BUCKET = b"""<?xml version="1.0"?><ListBucketResult><Name>veh</Name><KeyCount>1</KeyCount>
<Contents><Key>raw/cam1/frame.jpg</Key><Size>9</Size></Contents></ListBucketResult>"""


@pytest.mark.parametrize("presigned", [True, False], ids=["presigned", "passed-on"])
def test_images_in_object_storage_are_fetched_through_label_studio(
    studio_server: StudioServer, people: People, project: int, studio: StandIn, presigned: bool
) -> None:
    """The stand-in is the object store, as far as Label Studio looks at it."""
    uri, picture = "s3://veh/raw/cam1/früh 1.jpg", draw(size=(70, 50))
    studio.public |= {"/veh": BUCKET, "/veh/raw/cam1/früh 1.jpg": picture}
    storage = {
        "project": project,
        "bucket": "veh",
        "use_blob_urls": True,
        "presign": presigned,
        "s3_endpoint": studio.url,
        "aws_access_key_id": "key",
        "aws_secret_access_key": "sesame",
        "region_name": "us-east-1",
    }
    people.ask("POST", "/api/storages/s3/", storage)
    people.ask("POST", f"/api/projects/{project}/import", [{"data": {"image": uri}}])
    session = PatientSession(patience=Patience(sleep=lambda wait_s: None))
    files = StudioFiles(studio_server.url, lambda: studio_server.token, session)
    (image,) = list_images(files, project)
    assert image.address == uri
    studio.asked.clear()
    assert files.download(locate(image, files.url)) == picture
    session.close()
    asked = [(urlsplit(one.path).query != "", one.authorization) for one in studio.asked]
    assert presigned == (asked == [(True, None)])  # else Label Studio signs a header of its own
    assert len(asked) >= 1 and studio_server.token not in str(studio.asked)


def export(server: StudioServer, project: int, options: str = "") -> bytes:
    answer = requests.get(
        f"{server.url}/api/projects/{project}/export?exportType=YOLO{options}",
        headers={"Authorization": f"Token {server.token}"},
        timeout=60,
    )
    answer.raise_for_status()
    return answer.content
