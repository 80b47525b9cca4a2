"""Handing a file over: into a folder, or through standard output, as out of a container."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import IO

import typer

from pipeline.errors import UserError

STANDARD_OUTPUT = Path("-")


def open_target(out: Path) -> Path | IO[bytes]:
    """`out`, or standard output where it is `-`. UserError where that is a terminal."""
    if out != STANDARD_OUTPUT:
        return out
    if sys.stdout.isatty():
        raise UserError("a zip is nothing for a terminal; send it to a file: > set.zip")
    return typer.get_binary_stream("stdout")


def deliver(data: bytes, to: Path, *, readable: bool) -> None:
    """Write `data` whole or not at all. `-` is standard output: no terminal, unless `readable`.

    UserError, naming the file, where it cannot be written.
    """
    if to == STANDARD_OUTPUT:
        if sys.stdout.isatty() and not readable:
            raise UserError("a picture is nothing for a terminal; send it to a file: > FILE.jpg")
        typer.echo(data, nl=False)
        return
    path = to.expanduser().absolute()
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise UserError(f"cannot write {path}: {error.strerror}") from error
