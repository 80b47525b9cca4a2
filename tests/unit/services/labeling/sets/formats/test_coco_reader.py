from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.annotations import ShapeKind
from pipeline.errors import UserError
from services.labeling.sets.formats.vocabulary import FoundLabels, LabelFormat
from tests.label_sets import read_set

IMAGE = {"id": 1, "file_name": "a/b.jpg", "width": 320, "height": 240}
CAR = {"id": 7, "name": "car"}


def read(*annotations: object, **changed: Any) -> list[FoundLabels]:
    document = {"images": [IMAGE], "categories": [CAR], "annotations": list(annotations)}
    return read_set(LabelFormat.COCO, {"a.json": json.dumps(document | changed)})


def shape(**known: Any) -> dict[str, Any]:
    return {"id": 3, "image_id": 1, "category_id": 7, "bbox": [10, 20, 30, 40]} | known


def test_box_and_score_are_read() -> None:
    [found] = read(shape(score=0.5))
    assert found.shapes[0].points == ((10, 20), (40, 60))
    assert (found.scores, found.size, found.name) == ((0.5,), (320, 240), "a/b.jpg")


def test_one_polygon_stays_one_and_masks_are_their_box() -> None:
    polygon = [[0, 0, 10, 0, 10, 10]]
    several = shape(segmentation=polygon * 2)
    mask = shape(segmentation={"counts": "abc", "size": [2, 2]})
    [found] = read(shape(segmentation=polygon), several, mask)
    assert [one.kind for one in found.shapes] == [ShapeKind.POLYGON, ShapeKind.BOX, ShapeKind.BOX]


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (shape(bbox=[1, 2, 3]), "four finite"),
        (shape(bbox="1234"), "four finite"),
        (shape(bbox=[1, 2, float("nan"), 4]), "four finite"),
        (shape(bbox=[1, 2, float("inf"), 4]), "four finite"),
        (shape(bbox=[1, 2, 10**400, 4]), "four finite"),
        (shape(bbox=[1, 2, True, 4]), "four finite"),
        (shape(bbox=[1, 2, -3, 4]), "its size"),
        (shape(bbox=[1, 2, 0, 4]), "its size"),
        (shape(category_id=99), "no category"),
        (shape(category_id=None), "no category"),
        (shape(segmentation=[[1, 2, 3, 4, 5, 6, 7]]), "no polygon"),
        (shape(segmentation=[["x"] * 6]), "no polygon"),
    ],
)
def test_bad_annotation_has_a_reason(item: dict[str, Any], reason: str) -> None:
    [found] = read(item, shape())
    assert len(found.shapes) == 1
    assert found.problems[0].startswith("annotation 3: ")
    assert reason in found.problems[0]


def test_annotations_of_images_that_are_not_listed_are_said() -> None:
    _, stray = read(shape(image_id=5), images=[IMAGE, "no image"])
    assert stray.problems == ("1 annotations of images it does not list, 1 broken images",)


def test_images_that_share_an_id_are_refused() -> None:
    assert all(one.problems for one in read(shape(), images=[IMAGE, IMAGE | {"file_name": "c"}]))


def test_categories_that_share_an_id_are_refused() -> None:
    with pytest.raises(UserError, match="two categories"):
        read(categories=[CAR, CAR])


@pytest.mark.parametrize("text", ["", "[]", "{}", "[" * 100_000, '{"images": {}}', "nonsense"])
def test_what_is_no_document_is_refused(text: str) -> None:
    with pytest.raises(UserError):
        read_set(LabelFormat.COCO, {"a.json": text})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
KEYS = st.sampled_from(["id", "image_id", "category_id", "bbox", "segmentation", "width"])


@given(st.dictionaries(KEYS, JSON), st.dictionaries(KEYS, JSON))
def test_no_document_does_more_than_being_refused(one: Any, other: Any) -> None:
    found = read(shape() | one, images=[IMAGE | other])
    for labels in found:
        assert len(labels.shapes) == len(labels.scores)
