from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from rich.console import Console

from traboule.printing import (
    Column,
    by_count,
    make_table,
    print_fields,
    print_json,
    print_records,
    show,
)

IMAGE = "a-camera-with-a-rather-long-name-20261121T091640Z-8be14bda"
COLUMNS = (
    Column("id", whole=True),
    Column("reason"),
    Column("url", wide=True),
)
RECORD = {
    "id": IMAGE,
    "reason": "the server answered 503 Service Unavailable, three times in a row",
    "url": "http://localhost/a.jpg",
}


def drawn(width: int) -> str:
    console = Console(width=width, no_color=True)
    with console.capture() as captured:
        console.print(make_table([RECORD], COLUMNS, width), soft_wrap=True)
    return captured.get()


@pytest.mark.parametrize("width", [40, 80, 140])
def test_an_id_is_whole_in_any_terminal(width: int) -> None:
    assert IMAGE in drawn(width)


def test_a_word_is_not_broken() -> None:
    assert "Unavailable" in drawn(80)


def test_a_wide_column_waits_for_a_wide_terminal() -> None:
    assert "localhost" not in drawn(80)
    assert "localhost" in drawn(140)


def test_no_terminal_means_a_line_a_record(capsys: pytest.CaptureFixture[str]) -> None:
    print_records([RECORD], COLUMNS, as_json=False, none="")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert RECORD["reason"] in lines[1]


def test_nothing_found_leaves_standard_output_empty(capsys: pytest.CaptureFixture[str]) -> None:
    print_records([], COLUMNS, as_json=False, none="no such images")
    assert capsys.readouterr() == ("", "no such images\n")


def test_nothing_found_is_an_empty_array_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    print_records([], COLUMNS, as_json=True, none="no such images")
    assert capsys.readouterr() == ("[]\n", "")


def test_json_times_are_utc(capsys: pytest.CaptureFixture[str]) -> None:
    lyon = timezone(timedelta(hours=1))
    print_json({"time": datetime(2026, 11, 21, 10, 16, 40, tzinfo=lyon)})
    assert json.loads(capsys.readouterr().out) == {"time": "2026-11-21T09:16:40Z"}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        ("", "–"),
        ([], "–"),
        ({}, "–"),
        (True, "yes"),
        (0, "0"),
        (62.0, "62"),
        ({"car": 3, "face": 1}, "car 3 · face 1"),
        (("yunet", "haar"), "yunet, haar"),
        ("a [red]name[/red]", "a [red]name[/red]"),
        ("\x1b[2Jgone", "�[2Jgone"),
    ],
)
def test_values_are_shown_for_people(value: object, text: str) -> None:
    assert show(value) == text


def test_a_time_is_shown_as_local() -> None:
    at = datetime(2026, 11, 21, 9, 16, 40, tzinfo=UTC)
    assert show(at) == at.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def test_fields_are_lines_without_what_is_empty(capsys: pytest.CaptureFixture[str]) -> None:
    print_fields({"id": IMAGE, "reason": "", "headers": {"server": "s"}}, as_json=False)
    assert capsys.readouterr().out == f"id              {IMAGE}\nheaders server  s\n"


def test_counts_are_in_one_order_wherever_they_come_from() -> None:
    counts = {"truck": 2, "car": 586, "bus": 2, "face": 1418}
    assert show(by_count(counts)) == "face 1418 · car 586 · bus 2 · truck 2"
    assert list(by_count(dict(reversed(counts.items())))) == list(by_count(counts))
