from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from pipeline.cadence import due_after_failure, first_due, next_due
from pipeline.records import Camera

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)


def camera(name: str = "a", every_s: float = 62.0) -> Camera:
    return Camera(id=name, url="http://h/a.jpg", every_s=every_s)


def test_cameras_added_together_are_first_polled_apart() -> None:
    first = {first_due(camera(f"c{n}"), NOW) for n in range(15)}
    assert len(first) == 15
    assert max(first) < NOW + timedelta(seconds=15)


def test_cameras_turns_are_spread_over_the_interval() -> None:
    offsets = sorted((next_due(camera(f"c{n}"), NOW) - NOW).total_seconds() for n in range(60))
    quarters = [sum(31 + 15.5 * q <= s < 31 + 15.5 * (q + 1) for s in offsets) for q in range(4)]
    assert min(quarters) >= 5


@given(st.floats(1, 3600), st.integers(0, 10**9), st.text("abc", min_size=1, max_size=5))
def test_next_turn_is_never_early_and_never_far(every_s: float, at_s: int, name: str) -> None:
    now = datetime.fromtimestamp(at_s, UTC)
    wait_s = (next_due(camera(name, every_s), now) - now).total_seconds()
    assert every_s * 0.5 - 0.01 <= wait_s <= every_s * 1.5 + 0.01


def test_turn_after_turn_keeps_the_interval() -> None:
    first = next_due(camera(), NOW)
    second = next_due(camera(), first + timedelta(seconds=1))
    assert second - first == timedelta(seconds=62)


def test_failing_camera_is_asked_less_and_less_up_to_a_quarter_of_an_hour() -> None:
    waits = [
        (due_after_failure(camera(), NOW, failures) - NOW).total_seconds() for failures in range(9)
    ]
    assert waits[0] < 70
    assert waits[2] > 200
    assert all(800 < wait < 1000 for wait in waits[4:])


def test_retry_after_is_obeyed() -> None:
    due = due_after_failure(camera(every_s=5), NOW, 1, retry_after_s=600)
    assert due >= NOW + timedelta(seconds=600)
