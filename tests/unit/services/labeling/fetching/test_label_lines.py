from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.labeling.fetching.label_lines import clean_labels

IDS = {0, 1, 2}


def test_good_boxes_are_written_as_they_are() -> None:
    clean = clean_labels(b"0 0.5 0.5 0.25 0.25\n2 0.15 0.15 0.1 0.1\n", IDS)
    assert clean.text == "0 0.5 0.5 0.25 0.25\n2 0.15 0.15 0.1 0.1\n"
    assert (clean.objects, clean.problems) == (2, ())


@pytest.mark.parametrize(
    "data",
    [b"", b"\n\n", b"\r\n", b"\xef\xbb\xbf", b"  \n"],
    ids=["", "lf", "crlf", "bom", "space"],
)
def test_file_without_a_line_is_empty_and_no_problem(data: bytes) -> None:
    clean = clean_labels(data, IDS)
    assert (clean.text, clean.objects, clean.problems) == ("", 0, ())


@pytest.mark.parametrize("end", ["\r\n", "\r", "\n", ""])
def test_every_end_of_line_is_read(end: str) -> None:
    assert clean_labels(f"\ufeff1 0.5 0.5 0.2 0.2{end}".encode(), IDS).text == "1 0.5 0.5 0.2 0.2\n"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("0 0.5 0.5", "3 columns: a box has five"),
        ("0 inf 0.5 0.2 0.2", "'inf' is no finite number"),
        ("0 0.5 0.5 -0.2 0.2", "its size is -0.2 by 0.2"),
        ("-1 0.5 0.5 0.2 0.2", "'-1' is no class id"),
        ("\x00\xff", "'\\x00ÿ' is no class id"),
    ],
)
def test_line_that_is_nothing_is_left_out_and_named(line: str, why: str) -> None:
    clean = clean_labels(f"1 0.5 0.5 0.2 0.2\n{line}\n".encode(), IDS)
    assert clean.text == "1 0.5 0.5 0.2 0.2\n"
    assert clean.problems == (f"line 2: {why}",)


def test_score_of_a_prediction_is_not_written() -> None:
    assert clean_labels(b"1 0.5 0.5 0.2 0.2 0.9\n", IDS).text == "1 0.5 0.5 0.2 0.2\n"


def test_unknown_class_is_left_out_where_classes_are_known() -> None:
    assert clean_labels(b"7 0.5 0.5 0.2 0.2", IDS).problems == ("line 1: no class has the id 7",)
    assert clean_labels(b"7 0.5 0.5 0.2 0.2", None).objects == 1


def test_box_outside_the_image_is_clipped_as_label_studio_does_not() -> None:
    clean = clean_labels(b"2 1.05 1.05 0.3 0.3\n2 0.05 0.05 0.2 0.2\n2 0.1 0.1 0.0 0.0\n", IDS)
    assert clean.text == "2 0.95 0.95 0.1 0.1\n2 0.075 0.075 0.15 0.15\n"
    assert clean.problems == (
        "line 3: its size is 0 by 0",
        "line 1: clipped to the image",
        "line 2: clipped to the image",
    )


def test_polygon_among_boxes_becomes_the_box_around_it() -> None:
    clean = clean_labels(b"1 0.06 0.06 0.1 0.1\n2 0.1 0.1 0.2 0.1 0.2 0.205\n", IDS)
    assert clean.text == "1 0.06 0.06 0.1 0.1\n2 0.15 0.1525 0.1 0.105\n"
    assert clean.problems == ("line 2: a polygon among boxes, made the box around it",)


def test_polygons_alone_stay_polygons_within_the_image() -> None:
    clean = clean_labels(b"2 0.1 0.1 1.2 0.1 0.2 0.2\n1 0 0 1 0 1 1 0 1\n", IDS)
    assert clean.text == "2 0.1 0.1 1 0.1 0.2 0.2\n1 0 0 1 0 1 1 0 1\n"
    assert clean.problems == ("line 1: clipped to the image",)


@given(st.lists(st.floats(width=32), min_size=0, max_size=9), st.integers(-2, 4))
def test_whatever_is_written_can_be_trained_on(values: list[float], class_id: int) -> None:
    line = " ".join([str(class_id), *map(str, values)])
    clean = clean_labels(f"{line}\n0 0.5 0.5 0.2 0.2\n".encode(), IDS)
    for written in clean.text.splitlines():
        number, *found = written.split()
        assert int(number) in IDS
        assert len(found) == 4
        assert all(math.isfinite(float(one)) and 0 <= float(one) <= 1 for one in found)
        assert min(map(float, found[2:])) > 0
    assert clean.objects + sum("clipped" not in p and "among" not in p for p in clean.problems) == 2


@given(st.binary(max_size=200))
def test_no_bytes_break_it(data: bytes) -> None:
    clean = clean_labels(data, IDS)
    assert clean.objects == len(clean.text.splitlines())
