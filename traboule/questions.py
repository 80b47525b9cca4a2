"""Asking before something that cannot be undone."""

from __future__ import annotations

import sys

import typer

from pipeline.errors import UserError

INTERRUPTED = 130


def confirm(question: str, *, yes: bool) -> None:
    """Return if the answer is yes, or was given with --yes; else end the command."""
    if yes:
        return
    try:
        agreed = typer.confirm(question, err=True)
    except typer.Abort:
        if sys.stdin.isatty():
            raise typer.Exit(INTERRUPTED) from None
        typer.echo(err=True)
        raise UserError("nobody is there to be asked: say --yes to go ahead") from None
    if not agreed:
        raise UserError("nothing was done")
