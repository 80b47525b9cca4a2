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
from traboule.advice import Advice, advise
from traboule.live import draw_table
from traboule.printing import count, show
from traboule.progress import Progress


@dataclass(frozen=True)
class Summary:
    """Of one run, or of all there ever was: then `lasted_s` is None. `kept_before` counts the
    images of earlier runs, `finished` those of them that had waited and were detected, or given
    up, by this one. `data` is None where there is no folder, but servers."""

    progress: Progress
    data: Path | None
    lasted_s: float | None = None
    kept_before: int = 0
    finished: int = 0

    @property
    def advice(self) -> Advice:
        return advise(composed=self.data is None)


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
    if waiting := _tell_waiting(summary.progress, summary.advice):
        told["Waiting"] = waiting
    if summary.kept_before:
        told["Continued"] = _tell_continued(summary)
    told["Look further"] = _tell_command(summary.data)
    return told


def _tell_command(data: Path | None) -> str:
    """As it can be copied, whether we were called by name or by path."""
    if data is None:
        return f"{advise(composed=True).traboule} images list"
    called = "traboule" if shutil.which("traboule") else shlex.quote(sys.argv[0])
    return f"{called} images list --data {shlex.quote(str(data))}"


def _tell_polls(summary: Summary) -> str:
    outcomes = summary.progress.outcomes
    polls, kept = sum(outcomes.values()), outcomes.get(Outcome.KEPT, 0)
    others = ", ".join(f"{n} {name}" for name, n in outcomes.items() if name != Outcome.KEPT)
    lasted = " in all" if summary.lasted_s is None else f" in {summary.lasted_s:.0f} s"
    told = f"{polls}{lasted}, {kept} kept"
    return f"{told}; {others}" if others else told


def _tell_found(progress: Progress) -> str:
    return show(progress.labels) if progress.labels else "nothing yet"


def _tell_waiting(progress: Progress, advice: Advice) -> str:
    list_them = f"{advice.traboule} images list --state quarantined"
    words = {
        ImageState.STORED: f"for detection ({advice.goes_on})",
        ImageState.AWAITING_MODEL: f"for a model ({advice.model})",
        ImageState.QUARANTINED: f"in quarantine ({list_them})",
    }
    return "; ".join(
        f"{count(progress.states[state], 'image')} {what}"
        for state, what in words.items()
        if progress.states.get(state)
    )


def _tell_continued(summary: Summary) -> str:
    told = f"{count(summary.kept_before, 'image')} from earlier runs"
    if summary.finished:
        told += f", of which {summary.finished} had waited and are finished now"
    return told
