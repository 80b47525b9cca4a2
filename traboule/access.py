"""Opening the user's data for one command: to look at what is there, or to begin something new."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from pipeline.errors import UserError
from traboule.workspace import Workspace, open_workspace


@contextmanager
def existing_data(data: Path | None) -> Iterator[Workspace]:
    """UserError when a folder was named that is not there: a slip of the keyboard makes none."""
    if data is not None and not data.expanduser().is_dir():
        raise UserError(
            f"there is no folder {data}; name another with --data, or begin one: "
            f"traboule run --data {data}"
        )
    with any_data(data) as workspace:
        yield workspace


@contextmanager
def any_data(data: Path | None) -> Iterator[Workspace]:
    """The folder is made where it is not there yet."""
    with closing(open_workspace(data)) as workspace:
        yield workspace
