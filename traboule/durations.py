"""Durations as people write them: 60s, 20m, 2h, 3d."""

from __future__ import annotations

import re
from datetime import timedelta

_UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd])", re.ASCII)


def parse_duration(text: str) -> timedelta:
    """ValueError, saying what is expected, when `text` is no duration above zero."""
    match = _DURATION.fullmatch(text.strip().lower())
    if match is None:
        raise ValueError(f"{text!r} is not a duration such as 20s, 5m, 2h or 3d")
    try:
        duration = timedelta(seconds=float(match[1]) * _UNITS_S[match[2]])
    except OverflowError:
        raise ValueError(f"{text!r} is too long") from None
    if not duration:
        raise ValueError(f"{text!r} is no time at all")
    return duration


def format_seconds(seconds: float) -> str:
    """The largest unit that is whole: 20s, 5m, 2h."""
    for unit in ("d", "h", "m"):
        if seconds and seconds % _UNITS_S[unit] == 0:
            return f"{seconds / _UNITS_S[unit]:g}{unit}"
    return f"{seconds:g}s"


def format_roughly(seconds: float) -> str:
    """In a unit that fits: 90s, 4m, 26h, 3d."""
    for unit in ("d", "h", "m"):
        if seconds >= 2 * _UNITS_S[unit]:
            return f"{seconds / _UNITS_S[unit]:.0f}{unit}"
    return f"{seconds:.0f}s"
