"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from traboule.durations import parse_duration

MAX_LIMIT = 1_000_000

Choice = TypeVar("Choice", bound=StrEnum)


def parse_time(text: str) -> datetime:
    """A date or time (local where it names no zone), or how long ago. UTC."""
    try:
        return datetime.now(UTC) - parse_duration(text)
    except ValueError:
        pass  # not a duration
    except OverflowError:
        raise typer.BadParameter(f"{text!r} is longer ago than there are dates") from None
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"{text!r} is neither a date (2026-11-21), a time (2026-11-21T09:16) "
            "nor how long ago (30m, 2h, 3d)"
        ) from None


def parse_seconds(text: str, option: str) -> float:
    """The duration given to `option`, in seconds."""
    try:
        return parse_duration(text).total_seconds()
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def one_of(choices: type[Choice]) -> Callable[[str], Choice]:
    """A parser of an enumeration's values that says in plain words what there are."""

    def parse(text: str) -> Choice:
        try:
            return choices(text)
        except ValueError:
            raise typer.BadParameter(f"{text!r} is none of {', '.join(choices)}") from None

    return parse


def choose(choices: type[Choice], text: str, option: str) -> Choice:
    """The same for a command that imports its choices only when it runs."""
    try:
        return one_of(choices)(text)
    except typer.BadParameter as error:
        raise typer.BadParameter(error.message, param_hint=option) from None


DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        envvar="TRABOULE_DATA",
        file_okay=False,
        show_default="your user data folder",
        help="Where everything is kept.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON instead of a table.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]
CameraOption = Annotated[str | None, typer.Option("--camera", metavar="ID", help="Of one camera.")]
SinceOption = Annotated[
    datetime | None,
    typer.Option(
        "--since",
        parser=parse_time,
        metavar="TIME",
        help="From this time on: 2026-11-21, 2026-11-21T09:16, or 2h (ago).",
    ),
]
UntilOption = Annotated[
    datetime | None,
    typer.Option("--until", parser=parse_time, metavar="TIME", help="Before this time."),
]
LabelOption = Annotated[
    str | None,
    typer.Option("--label", metavar="LABEL", help="With one of these in it: face, car, person, …"),
]
LimitOption = Annotated[
    int, typer.Option("--limit", min=1, max=MAX_LIMIT, metavar="N", help="The newest N.")
]
