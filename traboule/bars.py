"""Progress of a command that takes its time, on standard error where that is a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class Advance(Protocol):
    """How many are done, in all; and of how many, where that was not known before."""

    def __call__(self, done: int, total: int | None = None, /) -> None: ...


@contextmanager
def progress_bar(what: str, total: int | None) -> Iterator[Advance]:
    """`total` None: nobody knows yet."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task(what, total=total)

        def advance(done: int, total: int | None = None, /) -> None:
            bar.update(task, completed=done, total=total)

        yield advance


@contextmanager
def telling(what: str) -> Iterator[Callable[[str], None]]:
    """A line that changes, for what has no number of steps."""
    console = Console(stderr=True, highlight=False, markup=False)
    if not console.is_terminal:
        yield lambda line: None
        return
    with console.status(what) as status:
        yield lambda line: status.update(f"{what}: {line[: max(10, console.width - 30)]}")
