from __future__ import annotations

from datetime import UTC, datetime, timedelta

from services.labeling.receiving.cursor import OVERLAP, Reading
from services.labeling.studio.protocol import StudioTask

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
PROJECT = "http://studio.test#1"


def changed(seconds: float, number: int = 1) -> StudioTask:
    return StudioTask(number, None, {}, NOW + timedelta(seconds=seconds))


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def test_pass_that_is_in_hand_goes_on_from_its_place() -> None:
    reading = Reading(PROJECT, None)
    reading.begin(NOW)
    assert (reading.since, reading.after) == (None, 0)
    reading.go_past(changed(-5, 7))
    reading.begin(at(60))
    assert (reading.since, reading.after) == (at(-5), 7)


def test_what_a_pass_passed_too_early_is_read_by_the_next_one() -> None:
    """It took 30 s, while people went on: at its beginning a change of 8 s later was under way,
    and was passed before it was there."""
    reading = Reading(PROJECT, None)
    reading.begin(NOW)
    reading.go_past(changed(1))
    reading.go_past(changed(30))
    reading.noted = reading.reached(at(30))
    reading.end(at(30))
    reading.begin(at(45))
    assert reading.since is not None
    assert reading.since <= at(0)


def test_nothing_is_unsaid_of_how_far_it_reached() -> None:
    reading = Reading(PROJECT, NOW, newest=NOW)
    reading.begin(NOW)
    assert reading.reached(at(100)) == NOW
    reading.begin(at(200))
    assert reading.reached(at(-100)) == NOW, "a clock that was set back"


def settle(reading: Reading) -> None:
    reading.begin(NOW)
    reading.go_past(changed(0, 5))
    reading.noted = reading.reached(at(1))
    reading.end(at(1))


def test_place_is_kept_once_nothing_changed_for_the_overlap() -> None:
    reading = Reading(PROJECT, None)
    settle(reading)
    soon = at(1) + OVERLAP
    reading.begin(soon)
    reading.go_past(changed(0, 5))
    reading.end(soon)
    assert not reading.settled, "counted from the end of the first pass"
    later = soon + timedelta(seconds=1)
    reading.begin(later)
    reading.go_past(changed(0, 5))
    reading.end(later)
    reading.begin(later)
    assert (reading.settled, reading.since, reading.after) == (True, NOW, 5)
    assert reading.reached(later) == NOW


def test_news_unsettles() -> None:
    reading = Reading(PROJECT, None)
    settle(reading)
    reading.settled = True
    reading.begin(at(60))
    reading.go_past(changed(59, 6))
    assert not reading.settled
    reading.end(at(60))
    reading.noted = at(59)
    reading.begin(at(75))
    assert (reading.since, reading.after) == (at(59) - OVERLAP, 0)


def test_catalog_that_was_set_back_is_read_for_anew() -> None:
    reading = Reading(PROJECT, NOW)
    assert reading.is_of(PROJECT, NOW)
    assert reading.is_of(PROJECT, at(5)), "another process came further"
    assert not reading.is_of(PROJECT, at(-5))
    assert not reading.is_of(PROJECT, None)
    assert not reading.is_of("http://studio.test#2", NOW)
