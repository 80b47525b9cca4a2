"""What a person may say of a new camera: the options of `cameras add`, and what they must be."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

import typer
from pydantic import TypeAdapter, ValidationError

from pipeline.records import Policy, SourceId
from traboule.durations import format_seconds
from traboule.options import one_of, parse_seconds

MIN_EVERY_S = 2.0  # the scheduler ticks every second: a turn may be one late

NewIdArgument = Annotated[
    str, typer.Argument(metavar="ID", help="Its name here, such as rue-victor-hugo.")
]
UrlArgument = Annotated[str, typer.Argument(metavar="URL", help="Where its newest image is.")]
EveryOption = Annotated[
    str, typer.Option("--every", metavar="TIME", help="How often it is polled: 20s, 5m.")
]
PolicyOption = Annotated[
    Policy,
    typer.Option(
        "--policy",
        parser=one_of(Policy),
        metavar="|".join(Policy),
        help="What may be kept of people.",
    ),
]
NameOption = Annotated[str, typer.Option("--name", metavar="TEXT", help="What people call it.")]
LicenceOption = Annotated[
    str, typer.Option("--licence", metavar="TEXT", help="Its images' licence.")
]
AttributionOption = Annotated[
    str, typer.Option("--attribution", metavar="TEXT", help="Whom to name beside its images.")
]
DetectorsOption = Annotated[
    str,
    typer.Option(
        "--detectors", metavar="NAMES", help="What looks at its images, with commas between."
    ),
]
DistanceOption = Annotated[
    int,
    typer.Option(
        "--near-duplicate-distance",
        metavar="BITS",
        min=-1,
        max=64,
        help="Images alike up to this are near-duplicates; -1 keeps every image.",
    ),
]
KeepTruncatedOption = Annotated[
    bool, typer.Option("--keep-truncated", help="Keep images whose end is missing.")
]


def check_id(camera_id: str) -> str:
    try:
        return TypeAdapter(SourceId).validate_python(camera_id)
    except ValidationError:
        raise typer.BadParameter(
            f"{camera_id!r}: at most 64 of a-z and 0-9, with single hyphens between",
            param_hint="ID",
        ) from None


def check_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not url.isprintable() or " " in url:
        raise typer.BadParameter(
            f"{url!r} is no address such as https://example.org/camera.jpg", param_hint="URL"
        )
    return url


def check_interval(every: str) -> float:
    """In seconds."""
    every_s = parse_seconds(every, "--every")
    if every_s < MIN_EVERY_S:
        raise typer.BadParameter(
            f"{every!r}: at least {format_seconds(MIN_EVERY_S)}, for cameras are looked at once "
            "a second",
            param_hint="--every",
        )
    return every_s


def check_detectors(names: str) -> tuple[str, ...]:
    from services.detection.registry import FACTORIES

    wanted = tuple(dict.fromkeys(name.strip() for name in names.split(",") if name.strip()))
    unknown = [name for name in wanted if name not in FACTORIES]
    if unknown or not wanted:
        raise typer.BadParameter(
            f"{', '.join(unknown) or names!r}: there are {', '.join(FACTORIES)}",
            param_hint="--detectors",
        )
    return wanted
