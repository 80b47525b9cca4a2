from __future__ import annotations

from datetime import UTC, datetime, timedelta

from services.labeling.receiving.cursor import OVERLAP, ChangeCursor
from services.labeling.studio.protocol import StudioTask

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
PROJECT = "http://studio.test#1"


def changed(seconds: float, number: int = 1) -> StudioTask:
    return StudioTask(number, None, {}, NOW + timedelta(seconds=seconds))


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def test_pass_that_is_in_hand_goes_on_from_its_place() -> None:
    cursor = ChangeCursor(PROJECT, None)
    cursor.begin(NOW)
    assert (cursor.since, cursor.after) == (None, 0)
    cursor.go_past(changed(-5, 7))
    cursor.begin(at(60))
    assert (cursor.since, cursor.after) == (at(-5), 7)


def test_what_a_pass_passed_too_early_is_read_by_the_next_one() -> None:
    """It took 30 s, while people went on: at its beginning a change of 8 s later was under way,
    and was passed before it was there."""
    cursor = ChangeCursor(PROJECT, None)
    cursor.begin(NOW)
    cursor.go_past(changed(1))
    cursor.go_past(changed(30))
    cursor.noted = cursor.reached(at(30))
    cursor.end(at(30))
    cursor.begin(at(45))
    assert cursor.since is not None
    assert cursor.since <= at(0)


def test_nothing_is_unsaid_of_how_far_it_reached() -> None:
    cursor = ChangeCursor(PROJECT, NOW, newest=NOW)
    cursor.begin(NOW)
    assert cursor.reached(at(100)) == NOW
    cursor.begin(at(200))
    assert cursor.reached(at(-100)) == NOW, "a clock that was set back"


def settle(cursor: ChangeCursor) -> None:
    cursor.begin(NOW)
    cursor.go_past(changed(0, 5))
    cursor.noted = cursor.reached(at(1))
    cursor.end(at(1))


def test_place_is_kept_once_nothing_changed_for_the_overlap() -> None:
    cursor = ChangeCursor(PROJECT, None)
    settle(cursor)
    soon = at(1) + OVERLAP
    cursor.begin(soon)
    cursor.go_past(changed(0, 5))
    cursor.end(soon)
    assert not cursor.settled, "counted from the end of the first pass"
    later = soon + timedelta(seconds=1)
    cursor.begin(later)
    cursor.go_past(changed(0, 5))
    cursor.end(later)
    cursor.begin(later)
    assert (cursor.settled, cursor.since, cursor.after) == (True, NOW, 5)
    assert cursor.reached(later) == NOW


def test_news_unsettles() -> None:
    cursor = ChangeCursor(PROJECT, None)
    settle(cursor)
    cursor.settled = True
    cursor.begin(at(60))
    cursor.go_past(changed(59, 6))
    assert not cursor.settled
    cursor.end(at(60))
    cursor.noted = at(59)
    cursor.begin(at(75))
    assert (cursor.since, cursor.after) == (at(59) - OVERLAP, 0)


def test_catalog_that_was_set_back_is_read_for_anew() -> None:
    cursor = ChangeCursor(PROJECT, NOW)
    assert cursor.is_of(PROJECT, NOW)
    assert cursor.is_of(PROJECT, at(5)), "another process came further"
    assert not cursor.is_of(PROJECT, at(-5))
    assert not cursor.is_of(PROJECT, None)
    assert not cursor.is_of("http://studio.test#2", NOW)
