from __future__ import annotations

import pytest

from pipeline.annotations import Annotation, AnnotationStatus, Shape, ShapeKind
from services.labeling.sets.choosing import (
    ChoosingPolicy,
    Reason,
    choose,
    match_exactly,
    newest_revisions,
)
from tests.labels import Said, box, drawn, make_annotation

IMAGE = "quai-20261121T091640Z-8be14bda"
CAR = box("car", 10, 10, 50, 50)
NEAR = box("car", 12, 12, 52, 52)
FAR = box("car", 200, 100, 250, 150)


def say(*shapes: Shape, **known: object) -> Annotation:
    return make_annotation(IMAGE, Said(shapes, **known))  # type: ignore[arg-type]


def test_choosing_takes_the_only_annotation() -> None:
    only = say(CAR)
    assert choose([only]).chosen == only
    assert choose([only]).reason is Reason.ONLY


def test_choosing_prefers_the_ground_truth_to_the_newest() -> None:
    truth, newer = say(CAR, ground_truth=True), say(FAR, number=2, minute=5)
    choice = choose([newer, truth])
    assert (choice.chosen, choice.reason) == (truth, Reason.GROUND_TRUTH)
    assert list(choice.others) == [newer]


def test_choosing_takes_the_newest_where_there_is_no_ground_truth() -> None:
    older, newer = say(CAR, number=2), say(FAR, number=1, minute=5)
    assert choose([newer, older]).chosen == newer
    assert choose([older, newer]).reason is Reason.NEWEST


def test_policy_newest_ignores_the_ground_truth() -> None:
    truth, newer = say(CAR, ground_truth=True), say(FAR, number=2, minute=5)
    assert choose([truth, newer], ChoosingPolicy.NEWEST).chosen == newer


def test_choosing_passes_over_a_skip_and_a_ground_truth_that_is_unusable() -> None:
    skip = say(number=2, minute=9, status=AnnotationStatus.SKIPPED)
    unusable = say(number=3, status=AnnotationStatus.UNUSABLE, ground_truth=True)
    real = say(CAR)
    assert choose([skip, unusable, real]).chosen == real


def test_newest_negative_is_chosen_over_an_older_box() -> None:
    negative = say(number=2, minute=3, status=AnnotationStatus.NEGATIVE)
    assert choose([say(CAR), negative]).chosen == negative


def test_only_the_newest_revision_of_an_annotation_counts() -> None:
    first, second = say(CAR), say(FAR, minute=1)
    assert newest_revisions([second, first]) == [second]
    assert not choose([first, second]).others


def test_annotations_of_two_projects_with_one_number_are_two() -> None:
    assert len(newest_revisions([say(CAR), say(CAR, project="import:old")])) == 2


def test_deleted_annotation_is_none_even_when_deleted_in_the_same_instant() -> None:
    deleted = say(status=AnnotationStatus.DELETED).model_copy(update={"revision": "0"})
    for order in ([say(CAR), deleted], [deleted, say(CAR)]):
        assert choose(order).reason is Reason.DELETED


@pytest.mark.parametrize(
    ("statuses", "reason"),
    [
        ([], Reason.UNLABELLED),
        (["skipped"], Reason.SKIPPED),
        (["skipped", "deleted"], Reason.SKIPPED),
        (["skipped", "unusable"], Reason.UNUSABLE),
        (["deleted"], Reason.DELETED),
    ],
)
def test_choosing_says_why_none(statuses: list[str], reason: Reason) -> None:
    said = [say(number=n, status=AnnotationStatus(s)) for n, s in enumerate(statuses)]
    assert choose(said).chosen is None
    assert choose(said).reason is reason


def test_policy_agreed_takes_what_two_people_drew_alike() -> None:
    choice = choose([say(CAR), say(NEAR, number=2, author="bob", minute=1)], ChoosingPolicy.AGREED)
    assert choice.chosen is not None
    assert choice.chosen.author == "bob"
    assert choice.reason is Reason.AGREED


@pytest.mark.parametrize(
    ("others", "reason"),
    [
        ([], Reason.ALONE),
        ([{"number": 2}], Reason.ALONE),  # the same person twice
        ([{"number": 2, "author": "bob", "shapes": [FAR]}], Reason.DISAGREED),
        ([{"number": 2, "author": "bob", "status": AnnotationStatus.NEGATIVE}], Reason.DISAGREED),
    ],
)
def test_policy_agreed_leaves_out_the_rest(others: list[dict[str, object]], reason: Reason) -> None:
    said = [say(CAR)]
    for other in others:
        default = [] if "status" in other else [CAR]
        said.append(make_annotation(IMAGE, Said(**{"shapes": default} | other)))  # type: ignore[arg-type]
    choice = choose(said, ChoosingPolicy.AGREED)
    assert (choice.chosen, choice.reason) == (None, reason)


def test_policy_agreed_believes_a_ground_truth_alone() -> None:
    assert choose([say(CAR, ground_truth=True)], ChoosingPolicy.AGREED).chosen is not None


def test_agreeing_needs_the_same_labels_and_each_box_once() -> None:
    assert match_exactly(say(CAR, FAR), say(FAR, NEAR))
    assert not match_exactly(say(CAR), say(box("bus", 10, 10, 50, 50)))
    assert not match_exactly(say(CAR, NEAR), say(CAR, FAR))
    assert match_exactly(say(), say())


def test_boxes_agreed_upon_are_matched_by_their_best_overlap() -> None:
    """Whichever box comes first: it must not take the one that is another's."""
    one, two = box("car", 0, 0, 100, 100), box("car", 20, 0, 120, 100)
    between, other = box("car", 18, 0, 118, 100), box("car", -20, 0, 80, 100)
    for drawn_first in ([one, two], [two, one]):
        assert match_exactly(say(*drawn_first), say(between, other))


@pytest.mark.parametrize("kind", [ShapeKind.BRUSH, ShapeKind.KEYPOINT])
def test_what_has_no_box_is_never_agreed_upon(kind: ShapeKind) -> None:
    points = [(5.0, 5.0)] if kind is ShapeKind.KEYPOINT else []
    said = say(CAR, drawn("car", kind, *points))
    assert not match_exactly(said, said)
    assert match_exactly(say(CAR), say(CAR))
