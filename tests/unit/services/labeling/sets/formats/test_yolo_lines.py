from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.annotations import ShapeKind
from services.labeling.sets.formats.yolo_lines import (
    BadLine,
    Line,
    is_rectangle,
    parse_line,
    read_line,
)

CLASSES = {0: "person", 2: "car"}


def test_five_columns_are_a_box() -> None:
    shape, score = parse_line("2 0.5 0.5 0.25 0.5", CLASSES, rotated=False)
    assert (shape.label, shape.kind, score) == ("car", ShapeKind.BOX, None)
    assert shape.points == ((0.375, 0.25), (0.625, 0.75))


def test_line_is_read_as_it_is_written_wherever_it_lies() -> None:
    assert read_line("2 1.5 0.5 0.25 0.5 0.75") == Line(2, (1.5, 0.5, 0.25, 0.5), 0.75)
    assert read_line("2 1.5 0.5 0.25 0.5").is_box
    assert not read_line("7 0 0 1 0 1 1.5").is_box


def test_sixth_column_is_a_score() -> None:
    assert parse_line("2 0.5 0.5 0.2 0.2 0.75", CLASSES, rotated=False)[1] == 0.75


@pytest.mark.parametrize(
    ("line", "points", "score"),
    [
        ("0 0 0 1 0 1 1", 3, None),  # seven columns
        ("0 0 0 1 0 1 1 0.9", 3, 0.9),
        ("0 0 0 1 0 1 1 0 1", 4, None),
    ],
)
def test_more_columns_are_a_polygon(line: str, points: int, score: float | None) -> None:
    shape, read = parse_line(line, CLASSES, rotated=False)
    assert (shape.kind, len(shape.points), read) == (ShapeKind.POLYGON, points, score)


def test_nine_columns_are_a_rotated_box_when_asked() -> None:
    line = "0 .5 .1 .9 .5 .5 .9 .1 .5"
    assert parse_line(line, CLASSES, rotated=True)[0].kind is ShapeKind.ROTATED_BOX
    with pytest.raises(BadLine, match="3 corners"):
        parse_line("0 0 0 1 0 1 1", CLASSES, rotated=True)


def test_class_id_may_be_written_as_a_float() -> None:
    assert parse_line("2.0 0.5 0.5 0.2 0.2", CLASSES, rotated=False)[0].label == "car"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("2", "1 columns"),
        ("2 0.5 0.5 0.2", "4 columns"),
        ("2 0.5 nan 0.2 0.2", "no finite number"),
        ("2 0.5 inf 0.2 0.2", "no finite number"),
        ("2 0.5 1e999 0.2 0.2", "no finite number"),
        ("2 0.5 x 0.2 0.2", "is no number"),
        ("2 0.5 0.5 -0.2 0.2", "its size is"),
        ("2 0.5 0.5 0 0.2", "its size is"),
        ("7 0.5 0.5 0.2 0.2", "no class has the id 7"),
        ("-1 0.5 0.5 0.2 0.2", "is no class id"),
        ("1.5 0.5 0.5 0.2 0.2", "is no class id"),
        ("nan 0.5 0.5 0.2 0.2", "is no class id"),
        ("car 0.5 0.5 0.2 0.2", "is no class id"),
        ("9" * 5000 + " 0.5 0.5 0.2 0.2", "is no class id"),
        ("1e999999999 0.5 0.5 0.2 0.2", "is no class id"),
        ("2 320 240 100 50", "outside the image"),
        ("2 -0.5 0.5 0.2 0.2", "outside the image"),
        ("2 " + "0.5 " * 100_000, "too long"),
    ],
)
def test_bad_line_has_a_reason(line: str, reason: str) -> None:
    with pytest.raises(BadLine, match=reason):
        parse_line(line, CLASSES, rotated=False)


@given(st.text(min_size=1).filter(str.strip), st.booleans())
def test_no_line_does_more_than_being_bad(line: str, rotated: bool) -> None:
    try:
        shape, _ = parse_line(line, CLASSES, rotated=rotated)
    except BadLine:
        return
    assert shape.bounds is not None


def test_rectangle_is_told_from_any_four_corners() -> None:
    assert is_rectangle([(0, 0), (10, 0), (10, 5), (0, 5)])
    assert is_rectangle([(5, 0), (10, 5), (5, 10), (0, 5)])
    assert not is_rectangle([(0, 0), (10, 0), (10, 5), (5, 5)])
    assert not is_rectangle([(0, 0), (0, 0), (10, 5), (0, 5)])
