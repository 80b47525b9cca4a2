from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.annotations import AnnotationStatus, Point, Shape, ShapeKind
from services.labeling.receiving.interpretation import ImageFacts
from services.labeling.sets.formats.converting import (
    EMPTY,
    NOTHING_USABLE,
    Converted,
    Import,
    convert,
)
from services.labeling.sets.formats.vocabulary import FoundLabels
from tests.label_sets import CHANGED, NOW, ORIGIN
from tests.labels import box, drawn

IMAGE = ImageFacts("quai-20261121T091640Z-8be14bda", 320, 240)


def find(*shapes: Shape, size: tuple[float, float] | None = None, **known: object) -> FoundLabels:
    scores = (None,) * len(shapes)
    found = FoundLabels("a.txt", "a", shapes, scores, size, modified_at=CHANGED)
    return replace(found, **known)  # type: ignore[arg-type]


def made(found: FoundLabels, origin: Import = ORIGIN) -> Converted:
    converted = convert(found, IMAGE, origin)
    assert isinstance(converted, Converted), converted
    return converted


def test_fractions_become_pixels_and_are_clipped() -> None:
    [shape] = made(find(box("car", 0.5, 0.5, 1.25, 0.75), size=(1, 1))).annotation.shapes
    assert shape == box("car", 160, 120, 320, 180)


def test_same_file_gives_the_same_revision_and_another_one_another() -> None:
    first, again = (made(find(box("car", 1, 1, 50, 50))).annotation for _ in range(2))
    other = made(find(box("car", 1, 1, 50, 60))).annotation
    assert first == again
    assert first.revision != other.revision
    assert first.origin == other.origin


def test_file_from_the_future_is_of_today() -> None:
    found = find(box("car", 1, 1, 50, 50), modified_at=NOW + timedelta(days=400))
    assert made(found).annotation.updated_at == NOW


def test_shapes_outside_are_left_out_with_a_word_and_scores_stay_beside_theirs() -> None:
    found = find(box("car", 900, 1, 950, 50), box("bus", 1, 1, 50, 50), scores=(0.1, 0.9))
    converted = made(found)
    assert converted.scores == (0.9,)
    assert "less than a pixel" in converted.annotation.problems[0]


def test_upright_corners_are_a_box() -> None:
    corners = ((10.0, 10.0), (50.0, 10.0), (50.0, 30.0), (10.0, 30.0))
    [shape] = made(find(drawn("car", ShapeKind.ROTATED_BOX, *corners))).annotation.shapes
    assert shape == box("car", 10, 10, 50, 30)


def test_nothing_is_a_negative_only_when_so_said() -> None:
    says_so = replace(ORIGIN, empty_is_negative=True)
    assert convert(find(), IMAGE, ORIGIN) == EMPTY
    assert made(find(), says_so).annotation.status is AnnotationStatus.NEGATIVE
    assert convert(find(problems=("line 1: …",)), IMAGE, says_so) == NOTHING_USABLE


@pytest.mark.parametrize("size", [(480, 480), (240, 320), (1e-300, 1e300), (3.2e-300, 2.4e-300)])
def test_image_of_another_shape_is_refused(size: tuple[float, float]) -> None:
    assert "drawn on" in str(convert(find(box("car", 1, 1, 9, 9), size=size), IMAGE, ORIGIN))


def test_label_studios_annotation_without_an_author_is_the_importers() -> None:
    found = find(task={"id": 1}, raw={"id": 4, "result": []})
    annotation = made(found).annotation
    assert (annotation.author, annotation.status) == ("eve", AnnotationStatus.NEGATIVE)
    named = find(task={"id": 1}, raw={"id": 4, "result": [], "completed_by": 7})
    assert made(named).annotation.author == "user 7"


@pytest.mark.parametrize("number", [7, 0, "x", None])
def test_task_of_another_label_studio_is_none_of_ours(number: object) -> None:
    raw = {"id": 4, "result": [], "parent_prediction": 3}
    task = {"id": number, "predictions": [{"id": 3, "model_version": "theirs"}]}
    origin = made(find(task=task, raw=raw)).annotation.origin
    assert (origin.project, origin.annotation, origin.task) == (f"import:{ORIGIN.name}", "4", None)
    assert origin.from_prediction == "theirs"


FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(
    st.lists(st.tuples(FINITE, FINITE), min_size=4, max_size=4),
    st.sampled_from([ShapeKind.POLYGON, ShapeKind.ROTATED_BOX]),
    st.sampled_from([None, (1.0, 1.0), (3.2e9, 2.4e9)]),
)
def test_whatever_is_drawn_every_point_kept_is_a_number(
    points: list[Point], kind: ShapeKind, size: tuple[float, float] | None
) -> None:
    converted = convert(find(drawn("car", kind, *points), size=size), IMAGE, ORIGIN)
    if isinstance(converted, Converted):
        kept = [part for shape in converted.annotation.shapes for p in shape.points for part in p]
        assert kept
        assert all(math.isfinite(part) for part in kept)
