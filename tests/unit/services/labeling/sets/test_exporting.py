"""What is written is opened by the tools people train with."""

from __future__ import annotations

import contextlib
import io
import json
import zipfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import supervision as sv
import yaml
from pycocotools.coco import COCO  # type: ignore[import-untyped]

from pipeline import keys
from pipeline.annotations import CLASSES, AnnotationStatus, ShapeKind
from pipeline.errors import StorageError, UserError
from pipeline.storage import FolderStore, StoredObject
from services.labeling.sets.choosing import Reason
from services.labeling.sets.exporting import ExportOptions, export
from services.labeling.sets.formats import entries
from services.labeling.sets.formats.vocabulary import LabelFormat, Remark
from tests.factories import MORNING, SIZE
from tests.labels import CORNERS, PROJECT, Said, box, drawn, make_labelled, open_folder
from traboule.workspace import Workspace

CAR = box("car", 10, 20, 110, 80)
NEGATIVE = Said(status=AnnotationStatus.NEGATIVE)
SIDES = {"original_width": SIZE[0], "original_height": SIZE[1]}
VALUE = {"x": 1, "y": 2, "width": 3, "height": 4, "rotation": 0, "rectanglelabels": ["car"]}
RECTANGLE: dict[str, object] = {"type": "rectanglelabels", "value": VALUE, **SIDES}
CHOICE: dict[str, object] = {"type": "choices", "value": {"choices": ["rain"]}}
STROKE: dict[str, object] = {
    "type": "brushlabels",
    "value": {"rle": [1, 2], "brushlabels": ["car"]},
    **SIDES,
}


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    opened = open_folder(tmp_path / "data")
    yield opened
    opened.close()


class Hostile:
    """A project in which everything happened, and what each image is called."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._second = 0
        cut = box("bus", 300, 200, 400, 300)
        polygon = drawn("truck", ShapeKind.POLYGON, (10, 10), (60, 10), (60, 60))
        brush, point = drawn("car", ShapeKind.BRUSH), drawn("car", ShapeKind.KEYPOINT, (5, 5))
        truth = Said([CAR], ground_truth=True)
        self.plain = self._make(Said([CAR, box("person", 0, 0, 40, 60)]))
        self.negative = self._make(NEGATIVE)
        self.unlabelled = self._make()
        self.skipped = self._make(Said(status=AnnotationStatus.SKIPPED))
        self.unusable = self._make(Said(status=AnnotationStatus.UNUSABLE))
        self.deleted = self._make(Said([CAR]), Said(status=AnnotationStatus.DELETED, minute=1))
        self.truth = self._make(truth, Said([cut], number=2, minute=3, author="bob"))
        self.rotated = self._make(Said([drawn("car", ShapeKind.ROTATED_BOX, *CORNERS)]))
        self.polygon = self._make(Said([polygon]))
        self.cut = self._make(Said([cut]))
        self.unknown = self._make(Said([CAR, box("tank", 1, 1, 50, 50)]))
        self.unknown_only = self._make(Said([box("tank", 1, 1, 50, 50)]))
        self.outside = self._make(Said([box("car", 400, 10, 500, 50)]))
        self.strokes = self._make(Said([CAR, brush, point]))

    def _make(self, *said: Said) -> str:
        self._second += 1
        return make_labelled(self._workspace, MORNING + timedelta(seconds=self._second), *said)

    @property
    def everything(self) -> list[str]:
        return [value for name, value in vars(self).items() if not name.startswith("_")]

    @property
    def usable(self) -> set[str]:
        return {
            *(self.plain, self.negative, self.truth, self.rotated, self.polygon, self.cut),
            *(self.unknown, self.strokes),
        }


@pytest.fixture
def hostile(workspace: Workspace) -> Hostile:
    return Hostile(workspace)


def run(workspace: Workspace, hostile: Hostile, target: Path, form: LabelFormat) -> None:
    export(workspace.store, hostile.everything, target, ExportOptions(form))


def stems(folder: Path) -> set[str]:
    return {path.stem for path in folder.iterdir()}


def test_yolo_set_holds_the_usable_images_and_their_labels(
    workspace: Workspace, hostile: Hostile, tmp_path: Path
) -> None:
    run(workspace, hostile, tmp_path / "out", LabelFormat.YOLO)
    assert stems(tmp_path / "out/images") == stems(tmp_path / "out/labels") == hostile.usable
    assert (tmp_path / f"out/labels/{hostile.negative}.txt").read_bytes() == b""


def test_yolo_set_opens_in_supervision_with_the_boxes_where_they_were(
    workspace: Workspace, hostile: Hostile, tmp_path: Path
) -> None:
    run(workspace, hostile, tmp_path / "out", LabelFormat.YOLO)
    found = sv.DetectionDataset.from_yolo(
        str(tmp_path / "out/images"),
        str(tmp_path / "out/labels"),
        str(tmp_path / "out/data.yaml"),
    )
    by_image = {Path(path).stem: detections for path, _, detections in found}
    assert found.classes == list(CLASSES)
    assert by_image[hostile.truth].class_id.tolist() == [CLASSES.index("car")]  # type: ignore[union-attr]
    assert by_image[hostile.truth].xyxy[0].tolist() == pytest.approx([10, 20, 110, 80], abs=0.01)
    assert by_image[hostile.cut].xyxy[0].tolist() == pytest.approx([300, 200, 320, 240], abs=0.01)
    assert by_image[hostile.rotated].xyxy[0].tolist() == pytest.approx([70, 100, 180, 200], abs=0.1)
    assert len(by_image[hostile.negative]) == 0


def test_data_yaml_pins_the_ids_and_needs_no_path(
    workspace: Workspace, hostile: Hostile, tmp_path: Path
) -> None:
    run(workspace, hostile, tmp_path / "out", LabelFormat.YOLO)
    known = yaml.safe_load((tmp_path / "out/data.yaml").read_text())
    assert known["names"] == dict(enumerate(CLASSES))
    assert "path" not in known
    listed = [(tmp_path / "out" / known[side]).read_text().split() for side in ("train", "val")]
    assert all(listed)
    assert not set(listed[0]) & set(listed[1])
    named = {path for side in listed for path in side}
    assert named == {f"./images/{image}.jpg" for image in hostile.usable}
    assert all((tmp_path / "out" / path).is_file() for path in named)


def test_yolo_obb_keeps_the_corners(workspace: Workspace, hostile: Hostile, tmp_path: Path) -> None:
    run(workspace, hostile, tmp_path / "out", LabelFormat.YOLO_OBB)
    found = sv.DetectionDataset.from_yolo(
        str(tmp_path / "out/images"),
        str(tmp_path / "out/labels"),
        str(tmp_path / "out/data.yaml"),
        is_obb=True,
    )
    by_image = {Path(path).stem: detections for path, _, detections in found}
    corners = by_image[hostile.rotated].data["xyxyxyxy"][0]
    assert [tuple(corner) for corner in corners] == [pytest.approx(c, abs=0.01) for c in CORNERS]
    assert len(by_image[hostile.plain]) == 2


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools'
def test_coco_opens_in_pycocotools_and_supervision(
    workspace: Workspace, hostile: Hostile, tmp_path: Path
) -> None:
    run(workspace, hostile, tmp_path / "out", LabelFormat.COCO)
    document = tmp_path / "out/annotations.json"
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(document))
    images = {Path(image["file_name"]).stem: image["id"] for image in coco.dataset["images"]}
    assert set(images) == hostile.usable
    assert coco.getCatIds(catNms=["car"]) == [CLASSES.index("car") + 1]
    [polygon] = coco.loadAnns(coco.getAnnIds(images[hostile.polygon]))
    assert coco.annToMask(polygon).sum() == pytest.approx(polygon["area"], rel=0.05)
    assert coco.getAnnIds(images[hostile.negative]) == []
    found = sv.DetectionDataset.from_coco(str(tmp_path / "out/images"), str(document))
    by_image = {Path(path).stem: detections for path, _, detections in found}
    assert by_image[hostile.truth].xyxy[0].tolist() == pytest.approx([10, 20, 110, 80], abs=0.01)


def test_voc_opens_in_supervision(workspace: Workspace, hostile: Hostile, tmp_path: Path) -> None:
    run(workspace, hostile, tmp_path / "out", LabelFormat.VOC)
    found = sv.DetectionDataset.from_pascal_voc(
        str(tmp_path / "out/JPEGImages"), str(tmp_path / "out/Annotations")
    )
    by_image = {Path(path).stem: detections for path, _, detections in found}
    assert set(by_image) == hostile.usable
    assert by_image[hostile.truth].xyxy[0].tolist() == [10, 20, 110, 80]
    assert len(by_image[hostile.negative]) == 0


def test_label_studio_tasks_say_what_was_said(
    workspace: Workspace, hostile: Hostile, tmp_path: Path
) -> None:
    run(workspace, hostile, tmp_path / "out", LabelFormat.LABEL_STUDIO)
    tasks = json.loads((tmp_path / "out/tasks.json").read_text())
    by_image = {task["data"]["image_id"]: task for task in tasks}
    assert set(by_image) == hostile.usable
    assert by_image[hostile.truth]["data"]["image"] == f"s3://{keys.stored_image(hostile.truth)}"
    assert by_image[hostile.truth]["annotations"][0]["ground_truth"] is True
    assert by_image[hostile.negative]["annotations"][0]["result"] == []
    [region] = by_image[hostile.truth]["annotations"][0]["result"]
    assert region["value"]["rectanglelabels"] == ["car"]
    assert region["value"]["x"] == pytest.approx(10 / SIZE[0] * 100)
    assert "RectangleLabels" in (tmp_path / "out/interface.xml").read_text()


def test_label_studio_gets_back_what_it_gave(workspace: Workspace, tmp_path: Path) -> None:
    said = Said([drawn("car", ShapeKind.BRUSH)], result=(STROKE, CHOICE, RECTANGLE))
    assert received(workspace, said, tmp_path) == [STROKE, CHOICE, RECTANGLE]


@pytest.mark.parametrize(
    "broken",
    [
        {"foo": 1},
        {"type": "relation", "from_id": "a", "to_id": "b"},
        RECTANGLE | {"value": None},
        RECTANGLE | {"value": VALUE | {"x": "ten"}},
        RECTANGLE | {"value": VALUE | {"x": None}},
        RECTANGLE | {"value": VALUE | {"rotation": "x"}},
        RECTANGLE | {"value": VALUE | {"rotation": 30, "width": 0}},
        RECTANGLE | {"value": VALUE | {"rectanglelabels": [1]}},
        RECTANGLE | {"type": "polygonlabels", "value": {"points": [], "polygonlabels": ["car"]}},
    ],
)
def test_label_studio_is_spared_what_its_exports_fail_on(
    workspace: Workspace, tmp_path: Path, broken: dict[str, object]
) -> None:
    said = Said([drawn("car", ShapeKind.BRUSH)], result=(broken, STROKE))
    assert received(workspace, said, tmp_path) == [STROKE]


@pytest.mark.parametrize(
    "odd",
    [
        {"original_width": None, "original_height": None},
        {"original_width": 0},
        {"original_height": "tall"},
        {"value": VALUE | {"rotation": None}},
    ],
)
def test_label_studio_is_told_the_size_and_the_angle_it_was_not(
    workspace: Workspace, tmp_path: Path, odd: dict[str, object]
) -> None:
    said = Said([CAR], result=(RECTANGLE | odd,))
    assert received(workspace, said, tmp_path) == [RECTANGLE]


def received(workspace: Workspace, said: Said, tmp_path: Path) -> list[dict[str, object]]:
    image = make_labelled(workspace, MORNING, said)
    export(workspace.store, [image], tmp_path / "out", ExportOptions(LabelFormat.LABEL_STUDIO))
    [task] = json.loads((tmp_path / "out/tasks.json").read_text())
    return list(task["annotations"][0]["result"])


def test_report_says_what_was_left_out_and_why(
    workspace: Workspace, hostile: Hostile, tmp_path: Path
) -> None:
    report = export(
        workspace.store, hostile.everything, tmp_path / "out", ExportOptions(LabelFormat.YOLO)
    )
    why = {image: reason for reason, group in report.left_out.items() for image in group.images}
    assert why == {
        hostile.unlabelled: Reason.UNLABELLED,
        hostile.skipped: Reason.SKIPPED,
        hostile.unusable: Reason.UNUSABLE,
        hostile.deleted: Reason.DELETED,
        hostile.unknown_only: entries.NOTHING_LEFT,
        hostile.outside: entries.NOTHING_LEFT,
    }
    assert report.changed[Remark.ROTATED_AS_UPRIGHT].images == (hostile.rotated,)
    assert report.changed[Remark.POLYGON_AS_BOX].images == (hostile.polygon,)
    assert report.changed[Remark.CLIPPED].images == (hostile.cut,)
    assert report.changed[Remark.BRUSH].images == (hostile.strokes,)
    assert report.unknown_labels == {"tank": 2}
    assert (report.images, report.negatives) == (8, 1)
    assert json.loads((tmp_path / "out/report.json").read_text())["images"] == 8
    assert "not in the set: 1, it was skipped" in (tmp_path / "out/report.txt").read_text()


def test_manifest_names_origin_licence_and_author(
    workspace: Workspace, hostile: Hostile, tmp_path: Path
) -> None:
    run(workspace, hostile, tmp_path / "out", LabelFormat.YOLO)
    lines = json.loads((tmp_path / "out/manifest.json").read_text())
    [line] = [line for line in lines if line["image"] == hostile.truth]
    assert line["licence"] == "Licence Ouverte 2.0"
    assert line["annotation"]["author"] == "ann@example.com"
    assert line["chosen"] == Reason.GROUND_TRUTH
    assert [other["author"] for other in line["others"]] == ["bob"]


def test_images_are_copied_byte_for_byte(
    workspace: Workspace, hostile: Hostile, tmp_path: Path
) -> None:
    run(workspace, hostile, tmp_path / "out", LabelFormat.YOLO)
    stored = workspace.store.get(keys.stored_image(hostile.plain)).data
    assert (tmp_path / f"out/images/{hostile.plain}.jpg").read_bytes() == stored


def test_zip_holds_what_a_folder_holds(
    workspace: Workspace, hostile: Hostile, tmp_path: Path
) -> None:
    for form in LabelFormat:
        run(workspace, hostile, tmp_path / f"{form}", form)
        run(workspace, hostile, tmp_path / f"{form}.zip", form)
        with zipfile.ZipFile(tmp_path / f"{form}.zip") as zipped:
            assert zipped.testzip() is None
            files = {path for path in (tmp_path / f"{form}").rglob("*") if path.is_file()}
            assert {name: zipped.read(name) for name in zipped.namelist()} == {
                path.relative_to(tmp_path / f"{form}").as_posix(): path.read_bytes()
                for path in files
            }


def test_image_that_was_changed_or_has_gone_is_left_out(
    workspace: Workspace, tmp_path: Path
) -> None:
    kept = make_labelled(workspace, MORNING, Said([CAR]))
    gone = make_labelled(workspace, MORNING + timedelta(seconds=1), Said([CAR]))
    changed = make_labelled(workspace, MORNING + timedelta(seconds=2), Said([CAR]))
    other = make_labelled(workspace, MORNING + timedelta(seconds=3), Said([CAR], size=(640, 480)))
    broken = make_labelled(workspace, MORNING + timedelta(seconds=4), Said([CAR]))
    workspace.store.delete(keys.stored_image(gone))
    workspace.store.put(keys.stored_image(changed), StoredObject(b"no image", "image/jpeg"))
    workspace.store.put(keys.annotation(broken, "9"), StoredObject(b"{", "application/json"))
    images = [kept, gone, changed, other, broken, "../../etc/passwd", kept]
    report = export(workspace.store, images, tmp_path / "out", ExportOptions())
    assert {why: group.images for why, group in report.left_out.items()} == {
        entries.GONE: (gone,),
        entries.CORRUPT: (changed,),
        entries.OTHER_SIZE: (other,),
        entries.UNREADABLE: (broken,),
    }
    assert stems(tmp_path / "out/images") == {kept}


def test_project_narrows_the_annotations(workspace: Workspace, tmp_path: Path) -> None:
    image = make_labelled(workspace, MORNING, Said([CAR]), Said(project="import:old", minute=4))
    options = ExportOptions(project=PROJECT)
    assert export(workspace.store, [image], tmp_path / "out", options).shapes == {"car": 1}


def test_export_refuses_to_write_over_anything(workspace: Workspace, tmp_path: Path) -> None:
    image = make_labelled(workspace, MORNING, Said([CAR]))
    (tmp_path / "empty").mkdir()
    export(workspace.store, [image], tmp_path / "empty", ExportOptions())
    for name in ("empty", "a.zip"):
        (tmp_path / "a.zip").touch()
        with pytest.raises(UserError, match="exists already"):
            export(workspace.store, [image], tmp_path / name, ExportOptions())
    assert (tmp_path / "a.zip").read_bytes() == b""


class DyingStore(FolderStore):
    """Answers a while, and then no more."""

    answers = 12

    def get(self, key: str) -> StoredObject:
        self.answers -= 1
        if self.answers < 0:
            raise StorageError("the object store does not answer")
        return super().get(key)


def test_export_that_fails_leaves_nothing(
    workspace: Workspace, hostile: Hostile, tmp_path: Path
) -> None:
    store = DyingStore(tmp_path / "data/store")
    before = stems(tmp_path)
    for name in ("out", "out.zip"):
        store.answers = 12
        with pytest.raises(StorageError):
            export(store, hostile.everything, tmp_path / name, ExportOptions())
    assert stems(tmp_path) == before


def test_nothing_to_write_makes_no_set_and_says_why(workspace: Workspace, tmp_path: Path) -> None:
    image = make_labelled(workspace, MORNING)
    report = export(workspace.store, [image], tmp_path / "out", ExportOptions())
    assert report.left_out[Reason.UNLABELLED].images == (image,)
    assert not (tmp_path / "out").exists()


def test_labels_can_be_written_without_images(workspace: Workspace, tmp_path: Path) -> None:
    image = make_labelled(workspace, MORNING, Said([CAR]))
    export(workspace.store, [image], tmp_path / "out", ExportOptions(with_images=False))
    assert not (tmp_path / "out/images").exists()
    assert (tmp_path / f"out/labels/{image}.txt").read_text().startswith("2 ")
