"""Reading a list that people change meanwhile, page by page, without missing or repeating a row.

Numbered pages would: a task that is edited moves to the end, and all after it one place forward.
So every page begins after the last row seen, by its number or by its time of change. Several tasks
may share one time (a bulk action gives all of them the same), even more than a page holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

Row = Mapping[str, Any]
BY_ID = "tasks:id"
BY_CHANGE = "tasks:updated_at"


@dataclass(frozen=True)
class Filter:
    """A condition of Label Studio's data manager: `column` of a task, `type` as it calls it."""

    column: str
    operator: str
    type: str
    value: Any

    def describe(self) -> dict[str, Any]:
        name = f"filter:tasks:{self.column}"
        return {"filter": name, "operator": self.operator, "type": self.type, "value": self.value}


@dataclass(frozen=True)
class Page:
    rows: Sequence[Row]
    is_last: bool


class ListPage(Protocol):
    def __call__(self, filters: Sequence[Filter], order: str) -> Page:
        """The first rows, in that order, for which all filters hold."""
        ...


def find_after(list_page: ListPage, filters: Sequence[Filter]) -> Iterator[Row]:
    """All rows for which the filters hold, by number."""
    page = list_page(filters, BY_ID)
    yield from page.rows
    while not page.is_last:
        after = Filter("id", "greater", "Number", page.rows[-1]["id"])
        page = list_page([*filters, after], BY_ID)
        yield from page.rows


def find_changed(list_page: ListPage, since: datetime | None, after: int = 0) -> Iterator[Row]:
    """All rows changed at `since` or later, by their time of change and then by number. A row that
    is changed meanwhile comes again, as it is then.

    Of those changed at that very time, the ones with a number above `after` alone.
    """
    start = [] if since is None else [_changed("greater_or_equal", since)]
    if since is not None and after:
        yield from find_after(
            list_page, [_changed("equal", since), Filter("id", "greater", "Number", after)]
        )
        start = [_changed("greater", since)]
    while True:
        page = list_page(start, BY_CHANGE)
        rows = sorted(page.rows, key=_place)
        if page.is_last:
            yield from rows
            return
        last = read_time(rows[-1]["updated_at"])
        before = [row for row in rows if read_time(row["updated_at"]) < last]
        if before:
            # Of those that share the last one's time, some may be on the next page.
            yield from before
            start = [_changed("greater_or_equal", last)]
        else:
            yield from find_after(list_page, [_changed("equal", last)])
            start = [_changed("greater", last)]


def _place(row: Row) -> tuple[datetime, int]:
    return read_time(row["updated_at"]), row["id"]


def read_time(text: str) -> datetime:
    """ValueError for what is no time; without a zone it is UTC."""
    time = datetime.fromisoformat(text)
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _changed(operator: str, time: datetime) -> Filter:
    # Without a fraction of a second Label Studio fails to read it.
    text = time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return Filter("updated_at", operator, "Datetime", text)
