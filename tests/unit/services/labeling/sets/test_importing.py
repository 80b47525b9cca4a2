"""What was written is read back, and what is wrong in what others wrote is said."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from PIL import Image

from pipeline import keys
from pipeline.annotations import Annotation, AnnotationStatus, ShapeKind
from pipeline.errors import UserError
from services.labeling.sets.exporting import ExportOptions, export
from services.labeling.sets.formats.converting import EMPTY, NOTHING_USABLE, Import
from services.labeling.sets.formats.import_reports import ImportReport
from services.labeling.sets.formats.matching import NO_IMAGE, UNKNOWN_BYTES, StoredImages
from services.labeling.sets.formats.packages import open_package
from services.labeling.sets.formats.vocabulary import LabelFormat
from services.labeling.sets.importing import (
    ALREADY_THERE,
    CLAIMED_TWICE,
    NO_SHAPES,
    ImportOptions,
    detect_format,
    import_annotations,
    import_predictions,
)
from services.labeling.studio.protocol import StudioPrediction
from tests.factories import MORNING
from tests.labels import CORNERS, Said, box, drawn, make_labelled, open_folder
from traboule.workspace import Workspace

NOW = datetime(2026, 11, 22, tzinfo=UTC)
OPTIONS = ImportOptions(Import("old-set", "eve", NOW))
CAR = box("car", 10, 20, 110, 80)
NAMES = {"data.yaml": "names: {0: person, 2: car}\n"}


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    opened = open_folder(tmp_path / "data")
    yield opened
    opened.close()


@pytest.fixture
def image(workspace: Workspace) -> str:
    return make_labelled(workspace, MORNING, Said([CAR]))


class Bench:
    """Imports folders of files into a list."""

    def __init__(self, workspace: Workspace, folder: Path) -> None:
        self.images = StoredImages(workspace.store)
        self.folder = folder
        self.taken: list[Annotation] = []

    def put(self, files: Mapping[str, str | bytes]) -> Path:
        for name, content in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return self.folder

    def take(self, annotation: Annotation) -> bool:
        if any(annotation.revision == one.revision for one in self.taken):
            return False
        self.taken.append(annotation)
        return True

    def run(self, source: Path, options: ImportOptions = OPTIONS) -> ImportReport:
        return import_annotations(source, self.images, options, self.take)

    def read(
        self, files: Mapping[str, str | bytes], options: ImportOptions = OPTIONS
    ) -> ImportReport:
        return self.run(self.put(files), options)


@pytest.fixture
def bench(workspace: Workspace, tmp_path: Path) -> Bench:
    return Bench(workspace, tmp_path / "labels-of-old")


@pytest.mark.parametrize("ending", ["", ".zip"])
@pytest.mark.parametrize("form", list(LabelFormat))
def test_what_was_exported_comes_back(
    workspace: Workspace, bench: Bench, tmp_path: Path, form: LabelFormat, ending: str
) -> None:
    shapes = [CAR, box("person", 200.5, 30.25, 260.125, 200)]
    image = make_labelled(workspace, MORNING, Said(shapes))
    negative = make_labelled(
        workspace, MORNING + timedelta(seconds=1), Said(status=AnnotationStatus.NEGATIVE)
    )
    target = tmp_path / f"out{ending}"
    export(workspace.store, [image, negative], target, ExportOptions(form))
    origin = replace(OPTIONS.origin, empty_is_negative=True)
    report = bench.run(target, ImportOptions(origin, form))
    by_image = {one.image: one for one in bench.taken}
    assert (report.annotations, report.negatives, report.problem_count) == (2, 1, 0)
    assert by_image[negative].status is AnnotationStatus.NEGATIVE
    assert [shape.label for shape in by_image[image].shapes] == ["car", "person"]
    for before, after in zip(shapes, by_image[image].shapes, strict=True):
        assert after.kind is ShapeKind.BOX
        for one, other in zip(before.points, after.points, strict=True):
            assert one == pytest.approx(other, abs=0.5)


def test_format_is_told_from_the_files(workspace: Workspace, image: str, tmp_path: Path) -> None:
    for form in LabelFormat:
        target = tmp_path / f"{form}.zip"
        export(workspace.store, [image], target, ExportOptions(form))
        with open_package(target) as package:
            told = LabelFormat.YOLO if form is LabelFormat.YOLO_OBB else form
            assert detect_format(package) is told


def test_package_without_labels_is_refused(bench: Bench) -> None:
    with pytest.raises(UserError, match="no labels"):
        bench.read({"a.jpg": b"x"})
    with pytest.raises(UserError, match="there is no"):
        bench.run(bench.folder / "missing")


def test_rotated_box_comes_back_turned(workspace: Workspace, bench: Bench, tmp_path: Path) -> None:
    rectangle = ((100.0, 100.0), (160.0, 180.0), (120.0, 210.0), (60.0, 130.0))
    shape = drawn("car", ShapeKind.ROTATED_BOX, *rectangle)
    image = make_labelled(workspace, MORNING, Said([shape]))
    for form in (LabelFormat.YOLO_OBB, LabelFormat.LABEL_STUDIO):
        bench.taken.clear()
        export(workspace.store, [image], tmp_path / form, ExportOptions(form))
        bench.run(tmp_path / form, replace(OPTIONS, form=form))
        [read] = bench.taken[0].shapes
        assert read.kind is ShapeKind.ROTATED_BOX
        for one, other in zip(read.points, rectangle, strict=True):
            assert one == pytest.approx(other, abs=0.5)


def test_four_corners_that_are_no_rectangle_are_a_polygon(bench: Bench, image: str) -> None:
    numbers = " ".join(f"{x / 320} {y / 240}" for x, y in (*CORNERS[:3], (300.0, 10.0)))
    bench.read(
        NAMES | {f"{image}.txt": f"2 {numbers}"}, replace(OPTIONS, form=LabelFormat.YOLO_OBB)
    )
    assert bench.taken[0].shapes[0].kind is ShapeKind.POLYGON


def test_imported_annotation_says_where_it_is_from(bench: Bench, image: str) -> None:
    bench.read(NAMES | {f"labels/{image}.txt": "2 0.5 0.5 0.25 0.5\n"})
    [taken] = bench.taken
    assert taken.author == "eve"
    assert (taken.origin.project, taken.origin.annotation) == ("import:old-set", image)
    assert taken.updated_at <= NOW
    assert taken.shapes == (box("car", 120, 60, 200, 180),)


def test_importing_again_takes_nothing(bench: Bench, image: str) -> None:
    files = NAMES | {f"labels/{image}.txt": "2 0.5 0.5 0.25 0.5\n"}
    bench.read(files)
    report = bench.run(bench.folder)
    assert report.annotations == 0
    assert report.left_out[ALREADY_THERE].count == 1


def test_bad_lines_are_named_and_the_good_ones_taken(bench: Bench, image: str) -> None:
    lines = (
        "\ufeff2 0.5 0.5 0.2 0.2\r\n\r\n2 nan 0.5 0.2 0.2\r\n9 0.5 0.5 0.2 0.2\r\n2 .5 .5 -.1 .2"
    )
    report = bench.read(NAMES | {f"{image}.txt": lines})
    assert len(bench.taken[0].shapes) == 1
    assert report.problems == (
        f"{image}.txt: line 3: 'nan' is no finite number",
        f"{image}.txt: line 4: no class has the id 9",
        f"{image}.txt: line 5: its size is -0.1 by 0.2",
    )
    assert bench.taken[0].problems[0].startswith("line 3")


def test_strict_takes_nothing_where_anything_is_wrong(bench: Bench, image: str) -> None:
    files = NAMES | {f"{image}.txt": "2 0.5 0.5 0.2 0.2\n2 0.5\n"}
    report = bench.read(files, replace(OPTIONS, strict=True))
    assert (bench.taken, report.is_dry, report.problem_count) == ([], True, 1)
    bench.put({f"{image}.txt": "2 0.5 0.5 0.2 0.2\n"})
    assert bench.run(bench.folder, replace(OPTIONS, strict=True)).annotations == 1


def test_dry_run_says_what_would_be_taken(bench: Bench, image: str) -> None:
    files = NAMES | {f"{image}.txt": "2 0.5 0.5 0.2 0.2"}
    report = bench.read(files, replace(OPTIONS, dry_run=True))
    assert (report.annotations, bench.taken) == (1, [])
    assert "would be taken" in report.describe()


def test_file_of_bad_lines_is_no_negative(bench: Bench, image: str) -> None:
    report = bench.read(
        NAMES | {f"{image}.txt": "2 0.5\n"},
        ImportOptions(replace(OPTIONS.origin, empty_is_negative=True)),
    )
    assert report.left_out[NOTHING_USABLE].count == 1
    assert report.problem_count == 1


def test_empty_file_is_a_negative_only_when_so_said(bench: Bench, image: str) -> None:
    assert bench.read(NAMES | {f"{image}.txt": "\n"}).left_out[EMPTY].count == 1
    options = ImportOptions(replace(OPTIONS.origin, empty_is_negative=True))
    assert bench.run(bench.folder, options).negatives == 1


def test_unknown_label_is_kept_and_said_or_renamed(bench: Bench, image: str) -> None:
    files = {"classes.txt": "tank\n", f"{image}.txt": "0 0.5 0.5 0.2 0.2"}
    report = bench.read(files)
    assert bench.taken[0].shapes[0].label == "tank"
    assert "label 'tank' is not in the class list" in report.problems[0]
    renamed = replace(OPTIONS.origin, rename={"tank": "truck"})
    assert bench.run(bench.folder, ImportOptions(renamed)).shapes == {"truck": 1}


@pytest.mark.parametrize(
    "name",
    [
        "{}",
        "8691898b__{}",
        "bb41b225-{}",
        "a5d035ee__c8bee958-{}",
        "images%2F{}",
        "8691898b__%2F{}",
    ],
)
def test_image_is_known_by_label_studios_names(bench: Bench, image: str, name: str) -> None:
    name = name.format(image)
    known = image if "%2F" not in name else None
    report = bench.read(NAMES | {f"labels/{name}.txt": "2 0.5 0.5 0.2 0.2"})
    assert report.annotations == (0 if known is None else 1)


def test_image_is_known_by_its_bytes(workspace: Workspace, bench: Bench, image: str) -> None:
    files: dict[str, str | bytes] = {
        **NAMES,
        "labels/frame_1.txt": "2 0.5 0.5 0.2 0.2",
        "images/frame_1.jpg": workspace.store.get(keys.stored_image(image)).data,
        "labels/frame_2.txt": "2 0.5 0.5 0.2 0.2",
        "images/frame_2.jpg": b"another",
        "labels/frame_3.txt": "2 0.5 0.5 0.2 0.2",
    }
    report = bench.read(files)
    assert [one.image for one in bench.taken] == [image]
    assert report.left_out[UNKNOWN_BYTES].files == ("labels/frame_2.txt",)
    assert report.left_out[NO_IMAGE].files == ("labels/frame_3.txt",)


def test_two_files_for_one_image_are_both_refused(bench: Bench, image: str) -> None:
    line = "2 0.5 0.5 0.2 0.2"
    report = bench.read(NAMES | {f"a/labels/{image}.txt": line, f"b/labels/{image}.txt": line})
    assert (report.left_out[CLAIMED_TWICE].count, bench.taken) == (2, [])


def test_labels_of_an_image_in_another_size_are_scaled_or_refused(bench: Bench, image: str) -> None:
    def coco(width: int, height: int) -> str:
        return json.dumps(
            {
                "images": [
                    {"id": 1, "file_name": f"{image}.jpg", "width": width, "height": height}
                ],
                "categories": [{"id": 7, "name": "car"}],
                "annotations": [
                    {"id": 1, "image_id": 1, "category_id": 7, "bbox": [20, 40, 200, 120]}
                ],
            }
        )

    bench.read({"a.json": coco(640, 480)})
    assert bench.taken[0].shapes == (CAR,)
    report = bench.read({"a.json": coco(480, 480)})
    assert "drawn on 480 by 480" in next(iter(report.left_out))


def test_label_studio_export_keeps_its_people_skips_and_negatives(bench: Bench, image: str) -> None:
    region = {
        "type": "rectanglelabels",
        "from_name": "label",
        "to_name": "image",
        "original_width": 320,
        "original_height": 240,
        "value": {"x": 25, "y": 25, "width": 50, "height": 50, "rectanglelabels": ["car"]},
    }
    at = "2026-11-20T10:00:00Z"
    said = [
        {"id": 1, "completed_by": {"id": 1, "email": "ann@x.y"}, "result": [region]},
        {"id": 2, "completed_by": 2, "result": [], "was_cancelled": True},
        {"id": 3, "completed_by": 3, "result": []},
    ]
    annotations = [one | {"updated_at": at, "created_at": at} for one in said]
    address = f"http://127.0.0.1:8080/data/upload/1/8691898b-{image}.jpg"
    tasks = [
        {"id": 5, "data": {"image": address}, "annotations": annotations},
        {"id": 6, "data": {"image": address}, "annotations": []},
        {"id": 7, "data": {"image": address}},
        "no task",
    ]
    report = bench.read({"export.json": json.dumps(tasks)})
    assert [one.status for one in bench.taken] == ["labelled", "skipped", "negative"]
    assert bench.taken[0].author == "ann@x.y"
    assert bench.taken[0].shapes == (box("car", 80, 60, 240, 180),)
    assert [one.origin.annotation for one in bench.taken] == ["1", "2", "3"]
    assert report.problem_count == 2


def test_equal_annotations_without_numbers_are_all_taken_once(
    workspace: Workspace, bench: Bench, image: str
) -> None:
    other = make_labelled(workspace, MORNING + timedelta(minutes=1), Said([CAR]))
    nothing = {"result": [], "updated_at": "2026-11-20T08:00:00Z"}
    tasks = [
        {"data": {"image_id": one}, "annotations": [nothing, nothing]} for one in (image, other)
    ]
    package = bench.put({"tasks.json": json.dumps(tasks)})
    report = bench.run(package, replace(OPTIONS, strict=True))
    assert (report.annotations, report.negatives, report.problems) == (4, 4, ())
    assert len({(one.origin.project, one.origin.annotation) for one in bench.taken}) == 4
    assert bench.run(package).left_out[ALREADY_THERE].count == 4


def test_import_as_predictions_carries_the_scores(bench: Bench, image: str) -> None:
    lines = "2 0.5 0.5 0.25 0.5 0.75\n0 0.2 0.2 0.1 0.1 0.5\n"
    found: list[tuple[str, StudioPrediction]] = []

    def take(name: str, prediction: StudioPrediction) -> bool:
        found.append((name, prediction))
        return True

    source = bench.put(NAMES | {f"{image}.txt": lines})
    report = import_predictions(source, bench.images, OPTIONS, take)
    [(name, prediction)] = found
    assert (name, report.annotations) == (image, 1)
    assert (prediction.model_version, prediction.score) == ("old-set", 0.5)
    assert [region["score"] for region in prediction.result] == [0.75, 0.5]
    assert prediction.result[0]["value"]["x"] == pytest.approx(37.5)


def test_prediction_of_unknown_labels_alone_is_none(bench: Bench, image: str) -> None:
    source = bench.put({"classes.txt": "tank\n", f"{image}.txt": "0 0.5 0.5 0.2 0.2"})
    report = import_predictions(source, bench.images, OPTIONS, lambda *_: True)
    assert report.left_out[NO_SHAPES].count == 1


def test_name_of_an_import_is_a_plain_one(bench: Bench, image: str) -> None:
    source = bench.put(NAMES | {f"{image}.txt": ""})
    with pytest.raises(UserError, match="no name for an import"):
        bench.run(source, ImportOptions(Import("../x", "eve", NOW)))


def test_zip_that_slips_links_or_doubles_is_read_without_that(bench: Bench, image: str) -> None:
    bench.folder.mkdir()
    source = bench.folder / "set.zip"
    link = zipfile.ZipInfo(f"labels/link-{image}.txt")
    link.external_attr = 0o120777 << 16
    line = "2 0.5 0.5 0.2 0.2"
    with zipfile.ZipFile(source, "w") as zipped:
        zipped.writestr("data.yaml", NAMES["data.yaml"])
        zipped.writestr(f"labels/{image}.txt", line)
        zipped.writestr("../../evil.txt", line)
        zipped.writestr("/etc/passwd.txt", line)
        zipped.writestr("C:\\evil.txt", line)
        zipped.writestr(link, "/etc/passwd")
    report = bench.run(source)
    assert report.annotations == 1
    assert sum(group.count for group in report.left_out.values()) == 4
    assert not (bench.folder.parent / "evil.txt").exists()
    assert bench.run(source, replace(OPTIONS, strict=True)).is_dry


def test_picture_that_is_ours_but_renamed_and_reencoded_is_unknown(
    workspace: Workspace, bench: Bench, image: str
) -> None:
    picture = Image.open(io.BytesIO(workspace.store.get(keys.stored_image(image)).data))
    again = io.BytesIO()
    picture.save(again, "JPEG", quality=30)
    files: dict[str, str | bytes] = {
        "labels/a.txt": "2 0.5 0.5 0.2 0.2",
        "images/a.jpg": again.getvalue(),
    }
    assert bench.read({**NAMES, **files}).left_out[UNKNOWN_BYTES].count == 1
