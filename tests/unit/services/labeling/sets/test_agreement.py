"""Who agrees with whom, by the overlap of their boxes."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.annotations import Annotation, AnnotationStatus, Origin, Shape, ShapeKind
from pipeline.records import BoundingBox
from services.labeling.sets.agreement import (
    Agreement,
    ImageAgreement,
    Tally,
    agree,
    match_boxes,
    measure_iou,
    summarise,
)
from tests.factories import MORNING


def square(x: float, y: float = 0, side: float = 10) -> BoundingBox:
    return BoundingBox(x1=x, y1=y, x2=x + side, y2=y + side)


def car(x: float, label: str = "car") -> Shape:
    box = square(x)
    return Shape(label=label, kind=ShapeKind.BOX, points=((box.x1, box.y1), (box.x2, box.y2)))


def say(
    author: str, *shapes: Shape, status: AnnotationStatus | None = None, minutes: int = 0
) -> Annotation:
    says = AnnotationStatus.LABELLED if shapes else AnnotationStatus.NEGATIVE
    at = MORNING + timedelta(minutes=minutes)
    number = f"{author}-{minutes}-{len(shapes)}"
    return Annotation(
        image="quai-saone-20261121T091640Z-8be14bda",
        revision="r",
        status=status or says,
        author=author,
        created_at=at,
        updated_at=at,
        width=640,
        height=480,
        shapes=shapes,
        origin=Origin(project="http://127.0.0.1#1", annotation=number),
    )


def test_overlap_is_intersection_over_union() -> None:
    assert measure_iou(square(0), square(0)) == 1
    assert measure_iou(square(0), square(5)) == pytest.approx(1 / 3)
    assert measure_iou(square(0), square(10)) == 0
    assert measure_iou(square(0, side=0), square(0, side=0)) == 0


def test_the_best_overlap_is_matched_first() -> None:
    """The first of `some` overlaps both; it must not take the one that fits the second better."""
    assert match_boxes([square(2), square(0)], [square(0)]) == [(1, 0)]
    assert sorted(match_boxes([square(1), square(3)], [square(3), square(0)])) == [(0, 1), (1, 0)]


def test_too_little_overlap_is_no_match() -> None:
    assert match_boxes([square(0)], [square(5)]) == []
    assert match_boxes([square(0)], [square(5)], iou=0.3) == [(0, 0)]


sides = st.builds(square, st.integers(0, 30), st.integers(0, 30), st.integers(0, 20))


@given(st.lists(sides, max_size=8), st.lists(sides, max_size=8))
def test_each_box_is_matched_once_and_both_ways_alike(
    some: list[BoundingBox], others: list[BoundingBox]
) -> None:
    pairs = match_boxes(some, others)
    assert len({here for here, _ in pairs}) == len({there for _, there in pairs}) == len(pairs)
    assert all(measure_iou(some[here], others[there]) >= 0.5 for here, there in pairs)


def test_two_who_drew_the_same_agree() -> None:
    found = agree([say("a@x", car(0), car(50)), say("b@x", car(51), car(1))])
    assert found == ImageAgreement({"car": Tally(4, 4)})
    assert found.score == 1
    assert not found.is_disputed


def test_each_class_is_counted_by_itself() -> None:
    found = agree([say("a@x", car(0), car(50, "bus")), say("b@x", car(0), car(50, "truck"))])
    assert found == ImageAgreement({"bus": Tally(0, 1), "car": Tally(2, 2), "truck": Tally(0, 1)})
    assert found.score == 0.5
    assert found.is_disputed


def test_of_three_each_pair_is_compared() -> None:
    found = agree([say("a@x", car(0)), say("b@x", car(0)), say("c@x")])
    assert found == ImageAgreement({"car": Tally(2, 4)})


def test_two_who_found_nothing_agree() -> None:
    found = agree([say("a@x"), say("b@x")])
    assert found is not None
    assert (found.classes, found.score) == ({}, 1)


@pytest.mark.parametrize(
    "others",
    [
        [],
        [say("a@x", car(300), minutes=5)],
        [say("b@x", car(0), status=AnnotationStatus.SKIPPED)],
        [say("b@x", car(0), status=AnnotationStatus.DELETED)],
        [say("b@x", status=AnnotationStatus.UNUSABLE)],
        [say("b@x", Shape(label="car", kind=ShapeKind.BRUSH))],
        [say("b@x", Shape(label="car", kind=ShapeKind.KEYPOINT, points=((5, 5),)))],
        [say("b@x", *[car(0)] * 501)],
    ],
    ids=["alone", "oneself", "skipped", "deleted", "unusable", "brush", "keypoint", "too many"],
)
def test_what_cannot_be_compared_is_not(others: list[Annotation]) -> None:
    assert agree([say("a@x", car(0)), *others]) is None


def test_of_each_author_the_newest_counts() -> None:
    older, newer = say("a@x", car(300)), say("a@x", car(0), minutes=5)
    other = say("b@x", car(0))
    for order in ([older, newer, other], [newer, other, older]):
        assert agree(order) == ImageAgreement({"car": Tally(2, 2)})


def test_nobody_named_is_somebody_else_each_time() -> None:
    assert agree([say("unknown", car(0)), say("unknown", car(0), minutes=1)]) is not None
    assert agree([say("user 1", car(0)), say("user 1", car(0), minutes=1)]) is None


def test_a_turned_box_counts_by_the_one_around_it() -> None:
    corners = ((5.0, 0.0), (10.0, 5.0), (5.0, 10.0), (0.0, 5.0))
    turned = Shape(label="car", kind=ShapeKind.ROTATED_BOX, points=corners)
    assert agree([say("a@x", turned), say("b@x", car(0))]) == ImageAgreement({"car": Tally(2, 2)})


def test_summary_is_the_mean_over_images_with_two_annotators() -> None:
    same = agree([say("a@x", car(0)), say("b@x", car(0))])
    half = agree([say("a@x", car(0), car(50, "bus")), say("b@x", car(0), car(50, "truck"))])
    assert summarise(iter([same, None, half])) == Agreement(
        images=2,
        disputed=1,
        score=0.75,
        classes={"car": Tally(4, 4), "bus": Tally(0, 1), "truck": Tally(0, 1)},
    )


def test_nothing_to_compare_has_no_score() -> None:
    assert summarise([None, None]) == Agreement(0, 0, None, {})
