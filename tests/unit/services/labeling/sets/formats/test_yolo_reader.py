from __future__ import annotations

import pytest

from pipeline.errors import UserError
from services.labeling.sets.formats.packages import MAX_TEXT_BYTES
from services.labeling.sets.formats.vocabulary import LabelFormat
from services.labeling.sets.formats.yolo_reader import MAX_SHAPES, find_label_files, read_classes
from tests.label_sets import MemoryPackage, read_set

NOTES = '{"categories": [{"id": 5, "name": "truck"}, {"id": 0, "name": "car"}]}'


@pytest.mark.parametrize(
    ("files", "classes"),
    [
        ({"data.yaml": "names: [person, car]"}, {0: "person", 1: "car"}),
        ({"set/data.yml": "names: {3: person, 1: car}"}, {3: "person", 1: "car"}),
        ({"data.yaml": "names: {'0': yes}"}, {0: "True"}),
        ({"notes.json": NOTES, "classes.txt": "truck\ncar\n"}, {5: "truck", 0: "car"}),
        ({"classes.txt": "\ufeffperson\r\ncar\r\n\r\n"}, {0: "person", 1: "car"}),
    ],
)
def test_classes_are_named_by_the_best_there_is(
    files: dict[str, str], classes: dict[int, str]
) -> None:
    assert read_classes(MemoryPackage(files)) == classes


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"data.yaml": "names: !!python/object/apply:os.system ['true']"},
        {"data.yaml": "a: &a [x, x]\nnames: [*a, *a]"},
        {"data.yaml": "names: [[car]]"},
        {"data.yaml": "names: {a: car}"},
        {"data.yaml": "names: {0: car, '0': bus}"},
        {"data.yaml": "nc: 3"},
        {"data.yaml": "[" * 5000},
        {"data.yaml": "names: 'unclosed"},
        {"data.yaml": b"\xff\xfe\x00"},
        {"data.yaml": "names: [" + "a," * 20_000 + "a]"},
        {"notes.json": '{"categories": [{"id": 5, "name": "a"}, {"id": 5, "name": "b"}]}'},
        {"classes.txt": "car\n\nbus\n"},
        {"classes.txt": ""},
        {"a/data.yaml": "names: [a]", "b/data.yaml": "names: [b]"},
    ],
)
def test_classes_without_certain_names_are_refused(files: dict[str, str | bytes]) -> None:
    with pytest.raises(UserError):
        read_classes(MemoryPackage(files))


def test_texts_beside_the_labels_are_no_labels() -> None:
    names = ("README.txt", "labels/train/a.txt", "labels/classes.txt", "train.txt")
    assert find_label_files(MemoryPackage(dict.fromkeys(names, ""))) == ["labels/train/a.txt"]
    assert find_label_files(MemoryPackage({"a.TXT": "", "classes.txt": ""})) == ["a.TXT"]


def read_one(content: str | bytes) -> tuple[int, tuple[str, ...]]:
    files: dict[str, str | bytes] = {"data.yaml": "names: [car]", "labels/a.txt": content}
    [found] = read_set(LabelFormat.YOLO, files)
    return len(found.shapes), found.problems


def test_too_large_or_undecodable_file_is_a_problem_of_its_own() -> None:
    assert read_one(b" " * (MAX_TEXT_BYTES + 1)) == (0, ("too large",))
    shapes, [problem] = read_one(b"0 0.5 0.5 0.2 0.2\xff")
    assert shapes == 0
    assert "utf-8" in problem


def test_shapes_of_one_image_are_bounded() -> None:
    shapes, [problem] = read_one("0 .5 .5 .1 .1\n" * (MAX_SHAPES + 5))
    assert shapes == MAX_SHAPES
    assert "more than" in problem


def test_names_that_differ_by_case_alone_stay_apart() -> None:
    files = {"data.yaml": "names: [car]", "labels/a.txt": "", "labels/A.txt": "0 .5 .5 .1 .1"}
    found = {one.name: len(one.shapes) for one in read_set(LabelFormat.YOLO, files)}
    assert found == {"a": 0, "A": 1}


def test_two_pictures_of_one_name_are_none() -> None:
    files = {"data.yaml": "names: [a]", "labels/a.txt": "", "x/a.jpg": "", "y/a.png": ""}
    assert read_set(LabelFormat.YOLO, files)[0].picture is None
    del files["y/a.png"]
    assert read_set(LabelFormat.YOLO, files)[0].picture == "x/a.jpg"
