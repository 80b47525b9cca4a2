"""`traboule run`: the whole pipeline in one process."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from traboule.options import DataOption, parse_seconds


def run(
    lasts: Annotated[
        str | None,
        typer.Option(
            "--for", metavar="TIME", help="How long: 60s, 2h.", show_default="until Ctrl-C"
        ),
    ] = None,
    simulate: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=64,
            metavar="N",
            help="N simulated cameras beside yours.",
            show_default="Grand Lyon's and 2 simulated ones",
        ),
    ] = None,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Don't open the contact sheet.")
    ] = False,
    data: DataOption = None,
) -> None:
    """Poll cameras, keep what is new, anonymise and detect; then show a contact sheet."""
    for_s = None if lasts is None else parse_seconds(lasts, "--for")
    from traboule.demonstration import Wanted
    from traboule.demonstration import run as run_pipeline

    sheet = run_pipeline(data, Wanted(for_s, simulate))
    if not no_browser and _has_browser():
        typer.launch(sheet.as_uri())


def _has_browser() -> bool:
    """Whether somebody is there to see one, and it would not take over the terminal."""
    if not sys.stdout.isatty():
        return False
    return sys.platform == "darwin" or "DISPLAY" in os.environ or "WAYLAND_DISPLAY" in os.environ
