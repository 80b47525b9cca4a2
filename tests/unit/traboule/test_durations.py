from __future__ import annotations

from datetime import timedelta

import pytest

from traboule.durations import format_roughly, format_seconds, parse_duration


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("20s", timedelta(seconds=20)),
        ("0.5s", timedelta(milliseconds=500)),
        ("5m", timedelta(minutes=5)),
        ("2H", timedelta(hours=2)),
        (" 3 d ", timedelta(days=3)),
    ],
)
def test_duration_is_a_number_and_a_unit(text: str, duration: timedelta) -> None:
    assert parse_duration(text) == duration


@pytest.mark.parametrize("text", ["", "20", "s", "-5s", "nan s", "1e3s", "5 years", "٣s"])
def test_duration_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration such as"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["0s", "99999999999999d", "9" * 400 + "d"])
def test_duration_out_of_bounds_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no time at all|too long"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"), [(20, "20s"), (62, "62s"), (300, "5m"), (7200, "2h"), (0.5, "0.5s")]
)
def test_seconds_are_written_in_their_largest_whole_unit(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0s"), (119, "119s"), (240, "4m"), (26 * 3600, "26h"), (200_000, "2d")],
)
def test_rough_duration_is_in_a_unit_that_fits(seconds: float, text: str) -> None:
    assert format_roughly(seconds) == text
