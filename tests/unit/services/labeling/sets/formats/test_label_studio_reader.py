from __future__ import annotations

import json

import pytest

from pipeline.errors import UserError
from services.labeling.sets.formats.vocabulary import LabelFormat
from tests.label_sets import read_set


def test_each_annotation_of_each_task_is_found() -> None:
    tasks = [
        {"id": 1, "data": {"image": "s3://b/x.jpg"}, "annotations": [{"id": 1}, {"id": 2}, 3]},
        {"id": 2, "data": {"image": "b", "image_id": "quai-1"}, "annotations": [{"id": 4}]},
        {"id": 3, "data": {"image": "c"}, "annotations": []},
    ]
    found = read_set(LabelFormat.LABEL_STUDIO, {"x.json": json.dumps(tasks)})
    assert [one.raw and one.raw["id"] for one in found] == [None, 1, 2, 4]
    assert found[0].problems == ("1 broken annotations",)
    assert found[3].name == "quai-1"


def numbers_in(tasks: list[dict[str, object]]) -> list[object]:
    found = read_set(LabelFormat.LABEL_STUDIO, {"x.json": json.dumps(tasks)})
    return [one.raw and one.raw["id"] for one in found]


@pytest.mark.parametrize("unnumbered", [{}, {"id": None}, {"id": " "}, {"id": True}, {"id": []}])
def test_annotations_without_numbers_are_told_apart_the_same_way_each_time(
    unnumbered: dict[str, object],
) -> None:
    said = [{"result": [], **unnumbered}, {"result": [], **unnumbered}]
    tasks: list[dict[str, object]] = [
        {"data": {"image": "x", "image_id": "quai-1"}, "annotations": said},
        {"data": {"image": "x", "image_id": "quai-2"}, "annotations": said},
        {"id": 8, "data": {"image": "x", "image_id": "quai-2"}, "annotations": said},
    ]
    numbers = numbers_in(tasks)
    assert len(set(map(str, numbers))) == 6
    assert numbers_in(list(reversed(tasks))) == [*numbers[4:], *numbers[2:4], *numbers[:2]]


@pytest.mark.parametrize("task", [1, None, {}, {"data": 3}, {"data": {}}, {"data": {}, "label": 1}])
def test_what_is_no_task_with_annotations_is_a_problem(task: object) -> None:
    [found] = read_set(LabelFormat.LABEL_STUDIO, {"x.json": json.dumps([task])})
    assert found.problems


def test_other_documents_are_refused() -> None:
    for files in ({"x.json": "{}"}, {"x.json": "["}, {"manifest.json": "[]"}):
        with pytest.raises(UserError):
            read_set(LabelFormat.LABEL_STUDIO, files)
