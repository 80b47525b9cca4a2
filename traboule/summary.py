"""What a run did, told when it has ended."""

from __future__ import annotations

import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

from pipeline.records import ImageState, Outcome
from traboule.live import draw_table
from traboule.printing import show
from traboule.progress import Progress


@dataclass(frozen=True)
class Summary:
    """`kept_before` counts the images of earlier runs, `finished` those of them that had waited
    and were detected, or given up, by this one."""

    progress: Progress
    lasted_s: float
    kept_before: int
    finished: int
    data: Path


def _command() -> str:
    """How this user calls us: by name, or by path where no virtual environment is active."""
    return "traboule" if shutil.which("traboule") else shlex.quote(sys.argv[0])


def print_summary(console: Console, summary: Summary) -> None:
    """The table of the cameras, then a line per matter."""
    if summary.progress.cameras:
        console.print(draw_table(summary.progress, None, console.width))
    for name, told in _tell(summary).items():
        print_line(console, name, told)


def print_line(console: Console, name: str, told: str) -> None:
    console.print(Text.assemble((f"{name:<15}", "bold"), told), soft_wrap=True)


def _tell(summary: Summary) -> dict[str, str]:
    told = {"Polls": _tell_polls(summary), "Found": _tell_found(summary.progress)}
    if waiting := _tell_waiting(summary.progress):
        told["Waiting"] = waiting
    if summary.kept_before:
        told["Continued"] = _tell_continued(summary)
    told["Look further"] = f"{_command()} images list --data {shlex.quote(str(summary.data))}"
    return told


def _tell_polls(summary: Summary) -> str:
    outcomes = summary.progress.outcomes
    polls, kept = sum(outcomes.values()), outcomes.get(Outcome.KEPT, 0)
    others = ", ".join(f"{n} {name}" for name, n in outcomes.items() if name != Outcome.KEPT)
    told = f"{polls} in {summary.lasted_s:.0f} s, {kept} kept"
    return f"{told}; {others}" if others else told


def _tell_found(progress: Progress) -> str:
    return show(progress.labels) if progress.labels else "nothing yet"


def _tell_waiting(progress: Progress) -> str:
    words = {
        ImageState.STORED: "for detection (the next run goes on with them)",
        ImageState.AWAITING_MODEL: "for a model (traboule models pull)",
        ImageState.QUARANTINED: "in quarantine (traboule images list --state quarantined)",
    }
    return "; ".join(
        f"{_count(progress.states[state], 'image')} {what}"
        for state, what in words.items()
        if progress.states.get(state)
    )


def _tell_continued(summary: Summary) -> str:
    told = f"{_count(summary.kept_before, 'image')} from earlier runs"
    if summary.finished:
        told += f", of which {summary.finished} had waited and are finished now"
    return told


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
