"""What is exported for a Label Studio is taken in by a real one, and its own exports by us."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from pipeline.annotations import Annotation, AnnotationStatus, ShapeKind
from services.labeling.sets.exporting import ExportOptions, export
from services.labeling.sets.formats.converting import Import
from services.labeling.sets.formats.matching import StoredImages
from services.labeling.sets.formats.vocabulary import LabelFormat
from services.labeling.sets.importing import ImportOptions, import_annotations
from tests.factories import MORNING
from tests.label_studio import StudioServer
from tests.labels import Said, box, drawn, make_labelled
from traboule.workspace import Workspace, open_workspace

pytestmark = pytest.mark.integration

RECTANGLE = ((100.0, 100.0), (160.0, 180.0), (120.0, 210.0), (60.0, 130.0))
SHAPES = (box("car", 10, 20, 110, 80), drawn("bus", ShapeKind.ROTATED_BOX, *RECTANGLE))
OPTIONS = ImportOptions(Import("back", "eve", datetime(2030, 1, 1, tzinfo=UTC)))


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with closing(open_workspace(tmp_path / "data")) as opened:
        yield opened


class Studio:
    """A project of its own, filled with what was exported."""

    def __init__(self, server: StudioServer, exported: Path) -> None:
        self._url = server.url
        self._headers = {"Authorization": f"Token {server.token}"}
        interface = (exported / "interface.xml").read_text()
        made = self._ask("POST", "projects", {"title": "back", "label_config": interface})
        self._project = made.json()["id"]
        tasks = json.loads((exported / "tasks.json").read_text())
        self.answer = self._ask("POST", f"projects/{self._project}/import", tasks).json()

    def export(self, form: str, to: Path) -> Path:
        to.write_bytes(
            self._ask("GET", f"projects/{self._project}/export?exportType={form}").content
        )
        return to

    def _ask(self, method: str, path: str, body: Any = None) -> requests.Response:
        url = f"{self._url}/api/{path}"
        answer = requests.request(method, url, json=body, headers=self._headers, timeout=60)
        answer.raise_for_status()
        return answer


def test_set_goes_to_label_studio_and_comes_back(
    studio_server: StudioServer, workspace: Workspace, tmp_path: Path
) -> None:
    labelled = make_labelled(workspace, MORNING, Said(SHAPES, ground_truth=True))
    negative = make_labelled(
        workspace, MORNING + timedelta(seconds=1), Said(status=AnnotationStatus.NEGATIVE)
    )
    options = ExportOptions(LabelFormat.LABEL_STUDIO)
    export(workspace.store, [labelled, negative], tmp_path / "set", options)
    studio = Studio(studio_server, tmp_path / "set")
    assert (studio.answer["task_count"], studio.answer["annotation_count"]) == (2, 2)

    back = {one.image: one for one in read(workspace, studio.export("JSON", tmp_path / "a.json"))}
    assert back[negative].status is AnnotationStatus.NEGATIVE
    assert back[labelled].ground_truth
    for before, after in zip(SHAPES, back[labelled].shapes, strict=True):
        assert (before.label, before.kind) == (after.label, after.kind)
        for one, other in zip(before.points, after.points, strict=True):
            assert one == pytest.approx(other, abs=0.5)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [("YOLO", LabelFormat.YOLO), ("YOLO_OBB", LabelFormat.YOLO_OBB), ("COCO", LabelFormat.COCO)],
)
def test_label_studios_own_exports_are_read(
    studio_server: StudioServer,
    workspace: Workspace,
    tmp_path: Path,
    theirs: str,
    ours: LabelFormat,
) -> None:
    image = make_labelled(workspace, MORNING, Said(SHAPES[:1]))
    export(workspace.store, [image], tmp_path / "set", ExportOptions(LabelFormat.LABEL_STUDIO))
    exported = Studio(studio_server, tmp_path / "set").export(theirs, tmp_path / "theirs.zip")
    [back] = read(workspace, exported, replace(OPTIONS, form=ours))
    [shape] = back.shapes
    assert (back.image, shape.label, shape.kind) == (image, "car", ShapeKind.BOX)
    for one, other in zip(SHAPES[0].points, shape.points, strict=True):
        assert one == pytest.approx(other, abs=0.5)


def read(workspace: Workspace, source: Path, options: ImportOptions = OPTIONS) -> list[Annotation]:
    taken: list[Annotation] = []

    def take(annotation: Annotation) -> bool:
        taken.append(annotation)
        return True

    report = import_annotations(source, StoredImages(workspace.store), options, take)
    assert report.problem_count == 0, report.describe()
    return taken
