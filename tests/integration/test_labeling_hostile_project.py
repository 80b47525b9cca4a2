"""A hostile project on a real Label Studio: everything counts as it should, and trains as it is.

And what Label Studio's own export makes of the same project, which is why there is one of ours.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from pipeline.annotations import Annotation, AnnotationStatus
from services.labeling.sets.choosing import ChoosingPolicy, Reason, choose
from services.labeling.sets.exporting import ExportOptions
from services.labeling.sets.formats.converting import Import
from services.labeling.sets.formats.entries import NOTHING_LEFT
from services.labeling.sets.formats.matching import StoredImages
from services.labeling.sets.formats.reports import ExportReport
from services.labeling.sets.formats.vocabulary import LabelFormat, Remark
from services.labeling.sets.importing import ImportOptions, import_annotations
from tests.factories import SIZE
from tests.label_studio import People, StudioServer
from tests.nasty_project import CASES, FOREIGN, NastyProject
from tests.opened_sets import (
    Box,
    Boxes,
    box_of,
    classes_of,
    list_coco,
    open_coco,
    open_yolo,
    read_coco,
    read_theirs,
    read_voc,
    read_yolo,
)
from tests.round_trip import RoundTrip, open_trip
from traboule.labels.sets import Chosen, export_set
from traboule.labels.telling import describe_all

pytestmark = pytest.mark.integration

IN_A_SET = {name for name, case in CASES.items() if case.boxes is not None}
NEGATIVES = {name for name in IN_A_SET if not CASES[name].boxes}
AS_RECEIVED = {"brush-alone", "keypoint-alone", "tank-alone"}  # a Label Studio takes these back
CORNERS = {
    "rotated": [(128, 72), (183.43, 104), (147.43, 166.35), (92, 134.35)],
    # Two of its corners are beyond 320, each brought back by itself.
    "rotated-out": [(288, 24), (320, 69.25), (299.31, 103.2), (254.06, 57.94)],
}


@dataclass(frozen=True)
class Theirs:
    """Label Studio's own exports, before a class was removed, and after. Of all tasks at once its
    COCO export is a 500: there is one of two of them."""

    before: Mapping[str, bytes]
    whole: Mapping[str, bytes]  # with tasks that nobody annotated
    coco: Mapping[str, Any]
    after: Mapping[str, bytes]


@dataclass(frozen=True)
class Scene:
    nasty: NastyProject
    theirs: Theirs
    server: StudioServer

    @property
    def trip(self) -> RoundTrip:
        return self.nasty.trip

    def name_of(self, image: str) -> str:
        [name] = [name for name, other in self.nasty.images.items() if other == image]
        return name

    def by_name(self, found: Mapping[str, Any]) -> dict[str, Any]:
        return {self.name_of(image): value for image, value in found.items()}

    def read_theirs(self, files: Mapping[str, bytes]) -> dict[str, Boxes]:
        return read_theirs(files, self.nasty.addresses, SIZE)

    def read_back(self, source: Path, form: LabelFormat) -> list[Annotation]:
        now = datetime(2035, 1, 1, tzinfo=UTC)
        options = ImportOptions(Import("back", "eve", now, empty_is_negative=True), form)
        back: list[Annotation] = []

        def take(annotation: Annotation) -> bool:
            back.append(annotation)
            return True

        import_annotations(source, StoredImages(self.trip.workspace.store), options, take)
        return back

    def export(self, target: Path, form: LabelFormat, **options: Any) -> ExportReport:
        return export_set(self.trip.workspace, target, Chosen(), ExportOptions(form, **options))


@pytest.fixture(scope="module")
def scene(studio_server: StudioServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with ExitStack() as stack:
        trip = stack.enter_context(open_trip(tmp_path_factory.mktemp("hostile"), studio_server))
        tokens = (studio_server.annotator_token, studio_server.token)
        ann, bob = (
            stack.enter_context(closing(People(studio_server.url, token))) for token in tokens
        )
        nasty = NastyProject(trip, ann, bob)
        nasty.happen()
        project = nasty.project.id
        before = ask_export(studio_server, project, "YOLO")
        whole = ask_export(studio_server, project, "YOLO&download_all_tasks=true")
        with pytest.raises(requests.HTTPError, match="500"):
            ask_export(studio_server, project, "COCO")
        some = "".join(f"&ids[]={nasty.tasks[name]}" for name in ("several", "rotated"))
        coco = json.loads(ask_export(studio_server, project, f"COCO{some}")["result.json"])
        nasty.happen_later()
        after = ask_export(studio_server, project, "YOLO")
        yield Scene(nasty, Theirs(before, whole, coco, after), studio_server)


def ask_export(server: StudioServer, project: int, form: str) -> dict[str, bytes]:
    answer = requests.get(
        f"{server.url}/api/projects/{project}/export?exportType={form}",
        headers={"Authorization": f"Token {server.token}"},
        timeout=60,
    )
    answer.raise_for_status()
    with zipfile.ZipFile(io.BytesIO(answer.content)) as zipped:
        return {name: zipped.read(name) for name in zipped.namelist()}


# What came back.


def test_every_revision_is_in_the_store_once(scene: Scene) -> None:
    for _ in range(2):  # and stays so, whoever reads it all again
        found = {name: tuple(scene.trip.statuses(of)) for name, of in scene.nasty.images.items()}
        assert found == {name: case.statuses for name, case in CASES.items()}
        scene.trip.wait(700)
        scene.trip.restart()
        scene.trip.follow()
    stored = {info.key.split("/")[1] for info in scene.trip.workspace.store.list("annotations/")}
    assert stored <= set(scene.nasty.images.values()), "and nothing of tasks that are not ours"


def test_status_counts_each_outcome(scene: Scene) -> None:
    told = describe_all(scene.trip.workspace)
    ended = Counter(status for case in CASES.values() for status in case.ended)
    assert told["annotations"] == ended
    assert ended.keys() == set(AnnotationStatus), "each outcome is met"
    nothing_left = [name for name, case in CASES.items() if case.why == NOTHING_LEFT]
    assert told["unusable_images"] == len(nothing_left) == 3
    assert told["labelled_images"] + 3 == len(IN_A_SET) + sum(
        case.boxes is None and "labelled" in case.ended for case in CASES.values()
    )
    assert told["reason"] == ""
    # Five images of two people each: in one they drew the same.
    agreement = told["agreement"]
    assert (agreement["images"], agreement["disagreeing"]) == (5, 4)
    assert agreement["score"] == pytest.approx(1 / 5)
    assert agreement["classes"] == pytest.approx({"bus": 0, "car": 2 / 5, "truck": 0})


def test_status_names_what_was_edited_by_hand(scene: Scene) -> None:
    notes = describe_all(scene.trip.workspace)["notes"]
    for words in (
        "the class 'truck' was renamed 'lorry'",
        "the class 'bus' was removed",
        "another control, PolygonLabels 'outline'",
        "another control, BrushLabels 'stroke'",
        "another control, Choices 'weather'",
        f"1 images have several labeling tasks, which all count: {scene.nasty.images['doubled']}",
        f"{len(FOREIGN)} labeling tasks were not made by Traboule",
    ):
        assert any(note.startswith(words) for note in notes), (words, notes)


def test_nothing_is_lost_of_what_was_received(scene: Scene) -> None:
    [mixed] = scene.trip.revisions(scene.nasty.images["mixed"])
    assert len(mixed.result) == 9
    assert {"foo": 1} in mixed.result
    assert len(mixed.problems) >= 7
    [accepted] = scene.trip.revisions(scene.nasty.images["accepted"])
    assert accepted.origin.from_prediction == "yolox-nano abababab"
    authors = [one.author for one in scene.trip.revisions(scene.nasty.images["several"])]
    assert authors == ["annotator@localhost", "traboule@localhost"]


# What goes into a set.


@pytest.mark.parametrize("form", LabelFormat)
def test_report_says_what_is_left_out_and_why(
    scene: Scene, tmp_path: Path, form: LabelFormat
) -> None:
    report = scene.export(tmp_path / "set", form)
    why = {image: reason for reason, group in report.left_out.items() for image in group.images}
    expected = {name: case.why for name, case in CASES.items() if case.why}
    taken_back = AS_RECEIVED if form is LabelFormat.LABEL_STUDIO else set()
    for name in taken_back:
        expected.pop(name)
    assert scene.by_name(why) == expected
    assert report.images == len(IN_A_SET | taken_back)
    assert report.negatives == len(NEGATIVES)
    unknown: Counter[str] = Counter()
    for case in CASES.values():
        unknown.update(case.unknown)
    assert report.unknown_labels == unknown
    assert report.choices[Reason.GROUND_TRUTH] == 1
    assert report.choices[Reason.NEWEST] == 4
    assert len(report.left_out[Reason.UNUSABLE].images) == 3


def test_report_says_what_was_changed(scene: Scene, tmp_path: Path) -> None:
    report = scene.export(tmp_path / "set", LabelFormat.YOLO)
    changed = {
        why: {scene.name_of(image) for image in group.images}
        for why, group in report.changed.items()
    }
    assert changed[Remark.ROTATED_AS_UPRIGHT] == {"rotated", "rotated-out"}
    assert changed[Remark.POLYGON_AS_BOX] == {"polygon"}
    assert changed[Remark.CLIPPED] == {"rotated-out"}
    assert changed[Remark.BRUSH] == {"brush", "brush-alone"}
    assert changed[Remark.KEYPOINT] == {"keypoint", "keypoint-alone"}
    assert changed[Remark.UNKNOWN_LABEL] == {name for name, case in CASES.items() if case.unknown}


def test_yolo_set_opens_with_the_boxes_that_were_drawn(scene: Scene, tmp_path: Path) -> None:
    out = tmp_path / "set"
    scene.export(out, LabelFormat.YOLO)
    check_boxes(scene, read_yolo(out))
    for folder, ending in (("labels", ".txt"), ("images", ".jpg")):
        files = {path.name: path for path in (out / folder).iterdir()}
        assert files.keys() == {scene.nasty.images[name] + ending for name in IN_A_SET}
        for name in NEGATIVES:
            is_empty = files[scene.nasty.images[name] + ending].read_bytes() == b""
            assert is_empty == (folder == "labels")
    listed = ((out / "train.txt").read_text() + (out / "val.txt").read_text()).split()
    assert len(listed) == len(set(listed)) == len(IN_A_SET)


def test_yolo_obb_set_opens_with_the_corners_that_were_drawn(scene: Scene, tmp_path: Path) -> None:
    out = tmp_path / "set"
    scene.export(out, LabelFormat.YOLO_OBB)
    found = scene.by_name(open_yolo(out, is_obb=True))
    assert found.keys() == IN_A_SET
    for name, detections in found.items():
        boxes = CASES[name].boxes or ()
        expected = [CORNERS[name]] if name in CORNERS else [corners_of(box) for box in boxes]
        assert len(detections) == len(expected), name
        if expected:
            drawn = detections.data["xyxyxyxy"].tolist()
            for corners, others in zip(drawn, expected, strict=True):
                assert [tuple(one) for one in corners] == [
                    pytest.approx(other, abs=0.5) for other in others
                ], name


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools'
def test_coco_set_opens_with_the_boxes_that_were_drawn(scene: Scene, tmp_path: Path) -> None:
    out = tmp_path / "set"
    scene.export(out, LabelFormat.COCO)
    coco = open_coco(out)
    images = {Path(one["file_name"]).stem: one["id"] for one in coco.dataset["images"]}
    assert len(images) == len(coco.dataset["images"]), "one entry an image"
    check_boxes(scene, list_coco(coco))
    check_boxes(scene, read_coco(out))
    [polygon, _] = coco.loadAnns(coco.getAnnIds(images[scene.nasty.images["polygon"]]))
    assert polygon["segmentation"] == [pytest.approx([32, 24, 96, 24, 96, 120], abs=0.5)]
    assert coco.annToMask(polygon).sum() == pytest.approx(64 * 96 / 2, rel=0.05)


def test_voc_set_opens_with_the_boxes_that_were_drawn(scene: Scene, tmp_path: Path) -> None:
    out = tmp_path / "set"
    scene.export(out, LabelFormat.VOC)
    check_boxes(scene, read_voc(out))


def test_label_studio_set_is_taken_by_a_label_studio(scene: Scene, tmp_path: Path) -> None:
    out = tmp_path / "set"
    report = scene.export(out, LabelFormat.LABEL_STUDIO)
    bob = scene.nasty.people["bob"]
    interface = (out / "interface.xml").read_text()
    made = bob.ask("POST", "/api/projects/", {"title": "taken back", "label_config": interface})
    tasks = json.loads((out / "tasks.json").read_text())
    answer = bob.ask("POST", f"/api/projects/{made['id']}/import", tasks)
    assert (answer["task_count"], answer["annotation_count"]) == (report.images, report.images)
    for form in (
        "YOLO",
        "YOLO_OBB",
        "COCO",
        "VOC",
    ):  # of the project it came from half of them fail
        assert ask_export(scene.server, made["id"], form).keys()


@pytest.mark.parametrize("form", LabelFormat)
def test_set_comes_back_as_it_went(scene: Scene, tmp_path: Path, form: LabelFormat) -> None:
    scene.export(tmp_path / "set.zip", form)
    back = scene.read_back(tmp_path / "set.zip", form)
    found = {one.image: boxes_of(one) for one in back}
    assert len(found) == len(back), "none is there twice"
    if form is LabelFormat.LABEL_STUDIO:
        for name in AS_RECEIVED:
            assert found.pop(scene.nasty.images[name]) == []
    check_boxes(scene, found)
    empty = {scene.name_of(one.image) for one in back if one.status is AnnotationStatus.NEGATIVE}
    assert empty == NEGATIVES


def test_json_of_label_studio_is_read_as_it_was_followed(scene: Scene, tmp_path: Path) -> None:
    """Everybody's annotations, and the tasks that are not ours."""
    number = scene.nasty.project.id
    answer = scene.nasty.people["bob"].ask("GET", f"/api/projects/{number}/export?exportType=JSON")
    (tmp_path / "theirs.json").write_text(json.dumps(answer))
    by_image = defaultdict(list)
    for one in scene.read_back(tmp_path / "theirs.json", LabelFormat.LABEL_STUDIO):
        by_image[one.image].append(one)
    chosen = {image: choose(some).chosen for image, some in by_image.items()}
    found = {image: boxes_of(one) for image, one in chosen.items() if one is not None}
    for name in (*AS_RECEIVED, "gone"):
        found.pop(scene.nasty.images[name])
    check_boxes(scene, found)


def test_agreed_images_alone_are_taken_by_that_policy(scene: Scene, tmp_path: Path) -> None:
    report = scene.export(tmp_path / "set", LabelFormat.YOLO, policy=ChoosingPolicy.AGREED)
    found = scene.by_name(read_yolo(tmp_path / "set"))
    assert found.keys() == {"agreed", "truth"}
    disagreed = {scene.name_of(image) for image in report.left_out[Reason.DISAGREED].images}
    assert disagreed == {"several", "negative-of-late", "doubled"}


# What Label Studio's own export makes of it.


def test_own_export_of_label_studio_is_wrong_in_these_ways(scene: Scene) -> None:
    theirs = scene.read_theirs(scene.theirs.before)
    assert theirs["plain"] == [("car", 32, 48, 128, 144)], "it is not wrong in everything"
    # A turned box is written unturned: elsewhere.
    assert theirs["rotated"] == [("car", 128, 72, 192, 144)]
    # The oldest annotation wins over a newer one, a newer negative and the ground truth.
    assert theirs["several"] == theirs["truth"] == theirs["negative-of-late"] == theirs["plain"]
    # What it cannot read is a negative.
    assert theirs["garbage"] == theirs["choice-alone"] == []
    later = scene.read_theirs(scene.theirs.after)
    assert later["other-control"] == later["ellipse"] == []
    # Boxes outside of the image, and boxes of no size.
    assert ("car", -32, -12, 64, 36) in theirs["over-the-edge"]
    assert ("bus", 64, 48, 64, 48) in theirs["no-area-alone"]
    # Whatever somebody typed is a class.
    classes = set(classes_of(scene.theirs.before).values())
    assert {"tank", "Car", "CAR", " car", "грузовик"} <= classes


def test_own_export_of_label_studio_makes_negatives_of_what_nobody_saw(scene: Scene) -> None:
    theirs = scene.read_theirs(scene.theirs.whole)
    assert theirs["untouched"] == theirs["draft"] == theirs["deleted-at-once"] == []
    assert "untouched" not in scene.read_theirs(scene.theirs.before)


def test_own_export_of_label_studio_gives_a_removed_class_another_id(scene: Scene) -> None:
    """And its own to something else: here to the weather."""
    before, after = classes_of(scene.theirs.before), classes_of(scene.theirs.after)
    assert (before[4], after[4], after[7]) == ("bus", "rain", "bus")
    lines = scene.theirs.after["classes.txt"].decode().splitlines()
    assert lines[4] == "lorry", "nor does a line's number tell the id, which is 5"
    assert after[5] == "lorry"


def test_own_coco_of_label_studio_has_an_image_twice_and_boxes_elsewhere(scene: Scene) -> None:
    images = scene.theirs.coco["images"]
    numbers = {one["id"] for one in images if scene.nasty.images["several"] in one["file_name"]}
    assert len(numbers) == 2
    [rotated] = [one["id"] for one in images if scene.nasty.images["rotated"] in one["file_name"]]
    [box] = [one["bbox"] for one in scene.theirs.coco["annotations"] if one["image_id"] == rotated]
    right = [92, 72, 183.43 - 92, 166.35 - 72]
    assert max(abs(one - other) for one, other in zip(box, right, strict=True)) > 5, box


# What is expected.


def check_boxes(scene: Scene, found: Mapping[str, Boxes]) -> None:
    named = scene.by_name(found)
    assert named.keys() == IN_A_SET
    for name, boxes in named.items():
        expected = CASES[name].boxes
        assert expected is not None
        assert [label for label, *_ in boxes] == [label for label, *_ in expected], name
        for (_, *sides), (_, *others) in zip(boxes, expected, strict=True):
            assert sides == pytest.approx(others, abs=0.5), name


def boxes_of(annotation: Annotation) -> Boxes:
    return [box for shape in annotation.shapes for box in box_of(shape, SIZE)]


def corners_of(box: Box) -> list[tuple[float, float]]:
    _, x1, y1, x2, y2 = box
    return [(x1, y1), (x2, y1), (x2, y2), (x1, y2)]
