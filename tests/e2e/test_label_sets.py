"""Sets in and out of a stack, and the service that fetches another Label Studio's project."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from pipeline import keys
from pipeline.annotations import CLASSES
from pipeline.labels.interface import write_interface
from tests.e2e.label_studio import LabelStudio
from tests.e2e.stack import Ran, Stack
from tests.waiting import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]  # building images, the first time

SIZE = (320, 240)
BOX = {"x": 25.0, "y": 50.0, "width": 10.0, "height": 20.0, "rotation": 0}
AS_YOLO = "2 0.3 0.6 0.1 0.2\n"
DETECTED_WITHIN_S = 300.0
FETCHED_WITHIN_S = 300.0


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A folder that the services' user may write."""
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o777)
    return folder


def test_set_is_imported_and_exported_by_the_labels_service(stack: Stack, shared: Path) -> None:
    wait_until(lambda: stack.images_below(keys.DETECTIONS), DETECTED_WITHIN_S, "an image")
    image = max(stack.images_below(keys.DETECTIONS))
    made = shared / "made"
    (made / "labels").mkdir(parents=True)
    (made / "classes.txt").write_text("\n".join(CLASSES) + "\n")
    (made / "labels" / f"{image}.txt").write_text(AS_YOLO)
    told = _labels(stack, shared, "import", "/shared/made", "--author", "ann@example.org")
    assert told.status == 0, told
    (kept,) = stack.store().list(f"{keys.ANNOTATIONS}{image}/")
    said = json.loads(stack.store().get(kept.key).data)
    assert (said["author"], len(said["shapes"])) == ("ann@example.org", 1)
    told = _labels(stack, shared, "export", "/shared/set")
    assert told.status == 0, told
    (labels,) = (shared / "set").rglob(f"{image}.txt")
    assert [line.split()[0] for line in labels.read_text().splitlines()] == ["2"]
    (picture,) = (shared / "set").rglob(f"{image}.jpg")
    assert picture.read_bytes() == stack.store().get(keys.stored_image(image)).data


def test_cli_may_not_import(stack: Stack, shared: Path) -> None:
    (shared / "labels").mkdir()
    told = _labels(stack, shared, "import", "/shared", "--author", "ann@example.org", service="cli")
    assert told.status != 0
    assert "Traceback" not in told.out + told.err


@pytest.fixture
def foreign_project(stack: Stack) -> Iterator[int]:
    """One that somebody made by hand: two uploaded pictures, one of them labelled."""
    studio = LabelStudio(stack)
    wanted = {"title": "By hand", "label_config": write_interface(CLASSES)}
    number = int(studio.ask("POST", "/api/projects", wanted, expected=201)["id"])
    for shade in (90, 180):
        studio.upload(number, f"rue {shade}.png", _draw(shade))
    task = studio.ask("GET", f"/api/tasks?project={number}&fields=all")["tasks"][0]
    value = {**BOX, "rectanglelabels": ["car"]}
    region = {"from_name": "label", "to_name": "image", "type": "rectanglelabels", "value": value}
    size = {"original_width": SIZE[0], "original_height": SIZE[1]}
    said = {"result": [{**region, **size}]}
    studio.ask("POST", f"/api/tasks/{task['id']}/annotations/", said, expected=201)
    yield number
    studio.fetch("DELETE", f"/api/projects/{number}")


def test_fetch_service_brings_a_project_with_its_images(
    stack: Stack, foreign_project: int, shared: Path, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text(stack.secrets()["label-studio/token"])
    token.chmod(0o444)
    fetching = replace(
        stack,
        environment={
            **stack.environment,
            "FETCH_URL": "http://label-studio:8080",
            "FETCH_PROJECT": str(foreign_project),
            "FETCH_TOKEN_FILE": str(token),
            "FETCH_INTO": str(shared),
            "FETCH_EVERY_S": "5",
        },
    )
    try:
        fetching.compose("--profile", "fetch", "up", "--detach", "--wait", "--no-deps", "fetch")
        wait_until(lambda: list(shared.rglob("report.json")), FETCHED_WITHIN_S, "a report")
        (labels,) = (path for path in shared.rglob("labels/**/*.txt") if path.stat().st_size)
        _assert_same_box(labels.read_text())
        (picture,) = shared.rglob(f"images/**/{labels.stem}.png")
        with Image.open(picture) as opened:
            assert opened.size == SIZE
        logs = fetching.container("fetch").logs().decode()
        assert token.read_text() not in logs
    finally:
        fetching.compose("--profile", "fetch", "rm", "--force", "--stop", "fetch")


def _labels(stack: Stack, shared: Path, *arguments: str, service: str = "labels") -> Ran:
    volume = ("--volume", f"{shared}:/shared")
    command = ("run", "--rm", "-T", *volume, service, "labels", *arguments)
    return stack.compose("--profile", service, *command, check=False)


def _assert_same_box(line: str) -> None:
    number, *place = line.split()
    assert number == AS_YOLO.split()[0]
    assert [float(part) for part in place] == pytest.approx([0.3, 0.6, 0.1, 0.2])


def _draw(shade: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", SIZE, (shade, shade, 60)).save(file, "PNG")
    return file.getvalue()
