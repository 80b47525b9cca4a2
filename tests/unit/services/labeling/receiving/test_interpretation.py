"""Annotations as a real Label Studio gives them, and as nobody should: an outcome for each."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import keys
from pipeline.annotations import Annotation, AnnotationStatus, ShapeKind
from services.labeling.receiving import interpretation
from services.labeling.receiving.interpretation import ImageFacts, deletion_of, interpret
from services.labeling.studio.protocol import StudioTask

PROJECT = "http://127.0.0.1:8080#3"
IMAGE = ImageFacts("quai-saone-20261121T091640Z-8be14bda", 640, 480)
AT = datetime(2026, 11, 21, 0, 27, 10, 81901, tzinfo=UTC)
LATER = AT + timedelta(hours=1)
TASK = StudioTask(
    id=17,
    image_id=IMAGE.id,
    data={},
    updated_at=LATER,
    predictions=[{"id": 12, "model_version": "yolox-nano 1f2e3d4c"}, {"id": None}],
)


def box(*labels: str, **value: Any) -> dict[str, Any]:
    return {
        "id": "r1",
        "from_name": "label",
        "to_name": "image",
        "type": "rectanglelabels",
        "original_width": 640,
        "original_height": 480,
        "image_rotation": 0,
        "value": {
            "x": 10,
            "y": 20,
            "width": 30,
            "height": 40,
            "rotation": 0,
            "rectanglelabels": list(labels or ("car",)),
            **value,
        },
    }


def said(**changes: Any) -> dict[str, Any]:
    """As a server of version 1.23.2 gives it."""
    return {
        "id": 3,
        "result": [box()],
        "created_username": "Ann Two ann2@example.com, 2",
        "completed_by": 2,
        "was_cancelled": False,
        "ground_truth": False,
        "created_at": "2026-11-21T00:27:10.001737Z",
        "updated_at": "2026-11-21T00:27:10.081901Z",
        "lead_time": 12.5,
        "parent_prediction": None,
        "task": 17,
        "project": 3,
        **changes,
    }


def read(**changes: Any) -> Annotation:
    return interpret(IMAGE, PROJECT, TASK, said(**changes))


def test_an_annotation_is_read_whole() -> None:
    found = read()
    assert found.image == IMAGE.id
    assert (found.width, found.height) == (640, 480)
    assert found.status is AnnotationStatus.LABELLED
    assert found.author == "ann2@example.com"
    assert found.created_at == datetime(2026, 11, 21, 0, 27, 10, 1737, tzinfo=UTC)
    assert found.updated_at == AT
    assert found.lead_time_s == 12.5
    assert [shape.points for shape in found.shapes] == [((64, 96), (256, 288))]
    assert found.problems == ()
    assert found.result == (box(),)
    assert (found.origin.project, found.origin.task) == (PROJECT, 17)
    assert (found.origin.annotation, found.origin.from_prediction) == ("3", "")


def test_revision_begins_with_the_time_and_can_be_part_of_a_key() -> None:
    revision = read().revision
    time, digest = revision.split("-")
    assert time == "20261121T002710081901Z"
    assert len(digest) == 8
    assert int(digest, 16) >= 0
    assert keys.annotation(IMAGE.id, revision).endswith(f"{revision}.json")


def test_the_same_event_gives_the_same_revision() -> None:
    first = read()
    assert read() == first
    again = said()
    again["result"] = json.loads(json.dumps(again["result"]))
    assert interpret(IMAGE, PROJECT, TASK, dict(reversed(again.items()))) == first


@pytest.mark.parametrize(
    "teller",
    [
        {"completed_by": {"id": 2, "email": "ann2@example.com", "first_name": "Ann"}},
        {"completed_by": 2, "created_username": None},
        {"completed_by": "2"},
        {"lead_time": None},
        {"created_ago": "5 minutes"},
    ],
)
def test_another_way_of_telling_it_gives_the_same_revision(teller: dict[str, Any]) -> None:
    assert read(**teller).revision == read().revision


@pytest.mark.parametrize(
    "change",
    [
        {"id": 4},
        {"result": [box("bus")]},
        {"result": []},
        {"was_cancelled": True},
        {"ground_truth": True},
        {"completed_by": 1},
        {"updated_at": "2026-11-21T00:27:10.081902Z"},
    ],
)
def test_anything_else_said_gives_another_revision(change: dict[str, Any]) -> None:
    assert read(**change).revision != read().revision


def test_nothing_drawn_is_a_negative() -> None:
    found = read(result=[])
    assert (found.status, found.problems) == (AnnotationStatus.NEGATIVE, ())


def test_a_skip_is_a_skip_even_with_something_drawn() -> None:
    assert read(was_cancelled=True, result=[]).problems == ()
    found = read(was_cancelled=True)
    assert (found.status, found.shapes) == (AnnotationStatus.SKIPPED, ())
    assert found.problems == ("it was skipped: what was drawn before is not used",)
    assert found.result == (box(),)


@pytest.mark.parametrize("flag", [True, 1, "true", "TRUE"])
def test_a_flag_may_be_written_in_several_ways(flag: object) -> None:
    assert read(ground_truth=flag).ground_truth
    assert read(was_cancelled=flag).status is AnnotationStatus.SKIPPED


@pytest.mark.parametrize("flag", [False, None, 0, "false", "", [], {}, math.nan])
def test_a_flag_that_is_not_set_is_not(flag: object) -> None:
    assert not read(ground_truth=flag).ground_truth
    assert read(was_cancelled=flag).status is AnnotationStatus.LABELLED


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (None, "its result is no list of regions but NoneType"),
        ("[]", "its result is no list of regions but str"),
        ("", "its result is no list of regions but str"),
        ({}, "its result is no list of regions but dict"),
        (0, "its result is no list of regions but int"),
        ([1, None, "car"], "3 of its regions are no regions at all"),
        ([[]], "1 of its regions are no regions at all"),
        ([{"foo": 1}], "region number 1: it has no type"),
        ([{}], "region number 1: it has no type"),
        ([box(x=math.nan)], "region 'r1': its x is no number"),
        ([box(y=math.inf)], "region 'r1': its y is no number"),
        ([box(width=-math.inf)], "region 'r1': its width is no number"),
        ([box(width="30")], "region 'r1': its width is no number"),
        ([box(height=10**400)], "region 'r1': its height is no number"),
        pytest.param([box(x=10**5000)], "region 'r1': its x is no number", id="huge"),
        ([box(width=-30)], "region 'r1': its width is below zero"),
        ([box(width=0)], "region 'r1': it is thinner than a pixel"),
        ([box(rotation=math.nan, width=math.nan)], "region 'r1': its width is no number"),
        ([{**box(), "type": "choices", "value": {"choices": ["x"]}}], None),
        ([{**box(), "type": "textarea", "value": {"text": ["x"]}}], None),
        ([{"type": "relation", "from_id": "a", "to_id": "b"}], None),
    ],
)
def test_what_cannot_be_used_is_never_a_negative(result: object, reason: str | None) -> None:
    found = read(result=result)
    assert found.status is AnnotationStatus.UNUSABLE
    assert found.shapes == ()
    assert len(found.problems) == 1
    assert reason is None or found.problems == (reason,)


def test_of_a_mixed_annotation_what_can_be_used_is() -> None:
    found = read(result=[1, {"foo": 1}, box(width=0), {**box("tank"), "id": "r2"}])
    assert found.status is AnnotationStatus.LABELLED
    assert [shape.label for shape in found.shapes] == ["tank"]
    assert len(found.problems) == 4
    assert len(found.result) == 3


def test_a_brush_stroke_is_kept_as_received() -> None:
    mask = {"format": "rle", "rle": [0, 0, 1, 224, 7], "brushlabels": ["car"]}
    stroke = {**box(), "type": "brushlabels", "value": mask}
    found = read(result=[stroke])
    assert [shape.kind for shape in found.shapes] == [ShapeKind.BRUSH]
    assert found.result == (stroke,)


def test_a_picture_without_a_size_has_the_stored_ones() -> None:
    bare = {name: value for name, value in box().items() if not name.startswith("original")}
    assert read(result=[bare]).shapes == read().shapes


@pytest.mark.parametrize(
    ("person", "author"),
    [
        ({"completed_by": {"id": 1, "email": "admin@example.com"}}, "admin@example.com"),
        (
            {"completed_by": 1, "created_username": " admin@example.com, 1"},
            "admin@example.com",
        ),
        ({"completed_by": 1}, "user 1"),  # the name told is another person's
        ({"completed_by": 2, "created_username": "two@example.com"}, "user 2"),
        ({"completed_by": {"id": 7}}, "user 7"),
        ({"completed_by": "ann@example.com"}, "ann@example.com"),
        ({"completed_by": None}, "unknown"),
        ({"completed_by": {}}, "unknown"),
        ({"completed_by": [1]}, "unknown"),
        ({"completed_by": True}, "unknown"),
        pytest.param({"completed_by": 10**5000}, "unknown", id="huge"),
        ({"completed_by": {"email": "a\x00b\n\ud800@x"}}, "ab?@x"),
        pytest.param({"completed_by": {"email": "x" * 10_000}}, "x" * 200, id="long"),
    ],
)
def test_author_is_who_can_be_told(person: dict[str, Any], author: str) -> None:
    found = read(**person)
    assert found.author == author
    assert found.status is AnnotationStatus.LABELLED


@pytest.mark.parametrize("time", ["yesterday", "", None, 5, "0001-01-01T00:00:00+14:00", {}])
def test_a_time_of_making_that_is_none_is_the_last_changes(time: object) -> None:
    assert read(created_at=time).created_at == AT


@pytest.mark.parametrize("time", ["now", None, 1.5, "9999-12-31T23:59:59-14:00", "2026-13-01"])
def test_a_time_of_change_that_is_none_is_its_tasks(time: object) -> None:
    found = read(updated_at=time)
    assert found.updated_at == LATER
    assert found.problems == ("its time is not one: its task's is used",)
    assert found.revision.startswith("20261121T012710081901Z-")


@pytest.mark.parametrize(
    "time",
    [
        AT,
        AT.replace(tzinfo=None),
        AT.astimezone(timezone(timedelta(hours=2))),
        "2026-11-21T00:27:10.081901",
        "2026-11-21T02:27:10.081901+02:00",
    ],
)
def test_a_time_is_utc_in_whatever_zone_it_comes(time: object) -> None:
    assert read(updated_at=time) == read()


@pytest.mark.parametrize("seconds", [-1, "12", math.nan, math.inf, True, [1]])
def test_a_lead_time_that_is_none_is_left_out(seconds: object) -> None:
    found = read(lead_time=seconds)
    assert found.lead_time_s is None
    assert found.problems == ("its lead time is not one",)


@pytest.mark.parametrize(
    ("prediction", "version"),
    [
        (12, "yolox-nano 1f2e3d4c"),
        (13, "prediction 13"),
        (None, ""),
        ({}, ""),
    ],
)
def test_the_model_taken_over_from_is_named(prediction: object, version: str) -> None:
    assert read(parent_prediction=prediction).origin.from_prediction == version


@pytest.mark.parametrize("number", [None, "", True, [], pytest.param(10**5000, id="huge")])
def test_an_annotation_without_a_number_gets_one_from_its_contents(number: object) -> None:
    found = read(id=number)
    assert found.origin.annotation.startswith("unnumbered-")
    assert read(id=number) == found
    assert read(id=number, result=[]).origin.annotation != found.origin.annotation


def test_a_result_beyond_the_bounds_is_refused_and_not_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(interpretation, "MAX_RESULT_BYTES", 2_000_000)
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    for result, reason in (
        ([{**box(), "meta": "x" * 2_000_000}], "its regions take more than 2 MB"),
        ([box()] * 10_001, "it has more than 10,000 regions"),
        ([{**box(), "meta": deep}], "its regions are nested deeper than 32"),
    ):
        found = read(result=result)
        assert (found.status, found.result) == (AnnotationStatus.UNUSABLE, ())
        assert found.problems == (reason,)


def test_a_result_within_the_bounds_is_kept_whole() -> None:
    found = read(result=[{**box(), "id": str(number)} for number in range(10_000)])
    assert len(found.result) == len(found.shapes) == 10_000


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from((10**400, -(10**400), math.nan, math.inf, "label", "image", "car"))
    | st.floats()
    | st.text(st.characters(), max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)
parts = {name: anything for name in said()}
regions = st.lists(
    st.fixed_dictionaries({name: anything | st.just(value) for name, value in box().items()})
    | anything,
    max_size=4,
)


@given(st.fixed_dictionaries({}, optional={**parts, "result": anything | regions}))
def test_whatever_is_told_is_read_and_comes_back_from_json(raw: dict[str, Any]) -> None:
    found = interpret(IMAGE, PROJECT, TASK, raw)
    assert Annotation.model_validate_json(found.model_dump_json()) == found
    assert interpret(IMAGE, PROJECT, TASK, raw).revision == found.revision
    assert (found.status is AnnotationStatus.LABELLED) == bool(found.shapes)
    if found.status is AnnotationStatus.NEGATIVE:
        assert raw["result"] == []
    if found.status is AnnotationStatus.UNUSABLE:
        assert found.problems


def test_a_deletion_is_a_revision_of_its_own() -> None:
    last = read()
    gone = deletion_of(last, LATER)
    assert (gone.status, gone.shapes, gone.result) == (AnnotationStatus.DELETED, (), ())
    assert (gone.author, gone.origin, gone.image) == (last.author, last.origin, last.image)
    assert gone.updated_at == LATER
    assert gone.revision.startswith("20261121T012710081901Z-")
    assert deletion_of(last, LATER) == gone


def test_a_deletion_is_later_than_what_it_deletes_whatever_the_clocks_say() -> None:
    last = read()
    gone = deletion_of(last, AT - timedelta(days=1))
    assert gone.updated_at > last.updated_at
    assert gone.revision > last.revision


def test_what_is_deleted_is_not_deleted_again() -> None:
    gone = deletion_of(read(), LATER)
    assert deletion_of(gone, LATER + timedelta(days=1)) is gone
