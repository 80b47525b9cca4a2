"""`traboule doctor`: is everything as it should be, and if not, what is to be done?"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer
from rich.table import Table
from rich.text import Text

from traboule.options import DataOption, JsonOption
from traboule.printing import make_console, print_json, show

if TYPE_CHECKING:
    from traboule.check import Check

STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def examine(data: DataOption = None, as_json: JsonOption = False) -> None:
    """Look at everything a run needs, and say what to do where something is wrong."""
    from traboule.diagnosis import EXAMINATIONS, examine_all, make_patient

    console = make_console()
    with console.status("examining …") if console.is_terminal else nullcontext():
        checks = list(examine_all(make_patient(data), EXAMINATIONS))
    if as_json:
        print_json([asdict(check) for check in checks])
    else:
        console.print(_draw(checks) if console.is_terminal else _write(checks), soft_wrap=True)
    if any(check.status == "fail" for check in checks):
        raise typer.Exit(1)


def _draw(checks: Sequence[Check]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    for wraps in (False, False, True):
        table.add_column(no_wrap=not wraps, overflow="fold")
    for check in checks:
        told = Text(show(check.what))
        if check.what_to_do:
            told.append(f"\n→ {show(check.what_to_do)}", "italic")
        table.add_row(Text(check.status, STYLES[check.status]), Text(check.name, "bold"), told)
    return table


def _write(checks: Sequence[Check]) -> str:
    """A line each, for what is no terminal."""
    lines = (
        f"{check.status:<4}  {check.name}: {show(check.what)}"
        + (f" → {show(check.what_to_do)}" if check.what_to_do else "")
        for check in checks
    )
    return "\n".join(lines)
