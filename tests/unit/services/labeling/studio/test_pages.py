from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.labeling.studio.pages import (
    BY_ID,
    Filter,
    Page,
    Row,
    find_after,
    find_changed,
    read_time,
)

START = datetime(2026, 11, 21, 8, tzinfo=UTC)
COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "equal": lambda a, b: bool(a == b),
    "greater": lambda a, b: bool(a > b),
    "greater_or_equal": lambda a, b: bool(a >= b),
}


@dataclass
class Listing:
    """A server's list of rows with a time of change in seconds; `between` runs after each page."""

    seconds: dict[int, int]
    size: int = 3
    between: Callable[[], None] = lambda: None
    pages: int = 0
    clock: int = field(default=1_000)

    def __call__(self, filters: Sequence[Filter], order: str) -> Page:
        self.pages += 1
        rows = [self.row(number) for number in self.seconds]
        rows = [row for row in rows if all(holds(condition, row) for condition in filters)]
        # Whatever the order of those with one time: here the highest number first.
        key = (lambda r: r["id"]) if order == BY_ID else (lambda r: (r["updated_at"], -r["id"]))
        page = Page(sorted(rows, key=key)[: self.size], is_last=len(rows) < self.size)
        self.between()
        return page

    def row(self, number: int) -> Row:
        time = START + timedelta(seconds=self.seconds[number])
        return {"id": number, "updated_at": time.isoformat()}

    def edit(self, number: int) -> None:
        self.clock += 1
        self.seconds[number] = self.clock


def holds(condition: Filter, row: Row) -> bool:
    if condition.type == "Datetime":
        wanted = datetime.strptime(condition.value, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
        return COMPARISONS[condition.operator](read_time(row["updated_at"]), wanted)
    return COMPARISONS[condition.operator](row[condition.column], condition.value)


TIMES = st.dictionaries(st.integers(1, 60), st.integers(0, 5), max_size=40)


@given(TIMES, st.integers(1, 7))
def test_rows_come_once_by_number(seconds: dict[int, int], size: int) -> None:
    found = [row["id"] for row in find_after(Listing(seconds, size), [])]
    assert found == sorted(seconds)


@given(TIMES, st.integers(1, 7), st.integers(0, 6))
def test_changed_rows_come_once_oldest_first(
    seconds: dict[int, int], size: int, since: int
) -> None:
    found = list(find_changed(Listing(seconds, size), START + timedelta(seconds=since)))
    times = [row["updated_at"] for row in found]
    assert times == sorted(times)
    assert sorted(row["id"] for row in found) == sorted(
        number for number, second in seconds.items() if second >= since
    )


@given(TIMES, st.integers(1, 7), st.integers(0, 40))
def test_reading_goes_on_from_any_place(seconds: dict[int, int], size: int, done: int) -> None:
    rows = list(find_changed(Listing(seconds, size), None))
    if 0 < done <= len(rows):
        last = rows[done - 1]
        place = (read_time(last["updated_at"]), last["id"])
        assert list(find_changed(Listing(seconds, size), *place)) == rows[done:]


@given(TIMES, st.integers(1, 7), st.lists(st.integers(1, 60), max_size=12))
def test_rows_edited_meanwhile_are_not_passed_over(
    seconds: dict[int, int], size: int, edits: list[int]
) -> None:
    listing = Listing(dict(seconds), size)

    def edit() -> None:
        if edits and (number := edits.pop()) in listing.seconds:
            listing.edit(number)

    listing.between = edit
    found = list(find_changed(listing, None))
    last = {row["id"]: row["updated_at"] for row in found}
    assert set(last) == set(seconds)
    if listing.pages > 1:
        unedited = {number for number, second in listing.seconds.items() if second <= 5}
        assert all(last[number] == listing.row(number)["updated_at"] for number in unedited)


def test_time_is_sent_with_its_fraction() -> None:
    """Without one Label Studio answers 500."""
    asked: list[Filter] = []

    def list_page(filters: Sequence[Filter], order: str) -> Page:
        asked.extend(filters)
        return Page([], is_last=True)

    assert list(find_changed(list_page, START)) == []
    assert asked[0].describe() == {
        "filter": "filter:tasks:updated_at",
        "operator": "greater_or_equal",
        "type": "Datetime",
        "value": "2026-11-21T08:00:00.000000Z",
    }


def test_times_are_read_in_utc() -> None:
    assert read_time("2026-11-21T09:00:00+01:00") == START
    assert read_time("2026-11-21T08:00:00") == START
    with pytest.raises(ValueError, match="isoformat"):
        read_time("yesterday")
