from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import typer

from traboule.options import parse_time


@pytest.fixture
def lyon(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Paris")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("lyon")
@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-11-21", datetime(2026, 11, 20, 23, tzinfo=UTC)),
        ("2026-11-21T10:16", datetime(2026, 11, 21, 9, 16, tzinfo=UTC)),
        ("2026-11-21 10:16:40", datetime(2026, 11, 21, 9, 16, 40, tzinfo=UTC)),
        ("2026-11-21T10:16Z", datetime(2026, 11, 21, 10, 16, tzinfo=UTC)),
    ],
)
def test_time_without_a_zone_is_local(text: str, at: datetime) -> None:
    assert parse_time(text) == at


def test_duration_is_so_long_ago() -> None:
    before = datetime.now(UTC)
    at = parse_time("2h")
    assert before <= at + timedelta(hours=2) <= datetime.now(UTC)


@pytest.mark.parametrize("text", ["yesterday", "21/11/2026", "2026-13-01", "", "0001-01-01"])
def test_time_of_another_form_names_the_forms(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="2026-11-21"):
        parse_time(text)


def test_duration_before_all_dates_is_refused() -> None:
    with pytest.raises(typer.BadParameter, match="longer ago than there are dates"):
        parse_time("9999999d")
