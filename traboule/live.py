"""The live table of a run: a line per camera, a few times a second; plain lines elsewhere."""

from __future__ import annotations

import time
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pipeline.records import FAILURES, NOTHING_NEW, ImageState, Outcome
from traboule.health import Health
from traboule.printing import show
from traboule.progress import CameraProgress, Progress

PLAIN_LINE_EVERY_S = 10.0
ROOMY = 100  # characters; below, the reasons need the room of "last poll"
WIDE = 120  # characters; names of cameras are for terminals from here on
LINES_BESIDE_CAMERAS = 8  # title, header, totals, rules and footer
STATES = {
    Health.OK: ("●", "green", "ok"),
    Health.FAILING: ("●", "red", "failing"),
    Health.PLACEHOLDER: ("●", "yellow", "camera down"),
    Health.NO_ROOM: ("●", "red", "disk is full"),
    Health.PAUSED: ("○", "dim", "paused"),
    Health.NEVER_POLLED: ("○", "dim", "waiting"),
}


@dataclass(frozen=True)
class Phase:
    """What a run is doing, and which share of its time is over, where it has an end."""

    words: str
    share: float | None = None


class Display(Protocol):
    """Shows how a run goes, between `with` and its end; `phase` says what it is doing."""

    def __enter__(self) -> Display: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def show(self, progress: Progress, phase: Phase) -> None: ...


class LiveTable:
    """For a terminal."""

    def __init__(self, console: Console, footer: str) -> None:
        self._console, self._footer = console, footer
        self._live = Live(console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> LiveTable:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def show(self, progress: Progress, phase: Phase) -> None:
        size = self._console.size
        drawn = Group(
            _draw_title(phase),
            draw_table(progress, max(1, size.height - LINES_BESIDE_CAMERAS), size.width),
            _draw_footer(progress, self._footer),
        )
        self._live.update(drawn, refresh=True)


class PlainLines:
    """For a file, a pipe or a dumb terminal: a line every ten seconds."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._next_at = 0.0

    def __enter__(self) -> PlainLines:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    def show(self, progress: Progress, phase: Phase) -> None:
        now = time.monotonic()
        if now >= self._next_at:
            self._next_at = now + PLAIN_LINE_EVERY_S
            self._console.print(f"{phase.words}: {describe(progress)}")


def make_display(console: Console, footer: str) -> Display:
    can_redraw = console.is_terminal and not console.is_dumb_terminal
    return LiveTable(console, footer) if can_redraw else PlainLines(console)


def describe(progress: Progress) -> str:
    """How a run goes, in one line."""
    outcomes = progress.outcomes
    words = [f"{sum(outcomes.values())} polls", f"{outcomes.get(Outcome.KEPT, 0)} kept"]
    words += [f"{n} {name}" for name, n in outcomes.items() if name != Outcome.KEPT]
    words += [show(progress.labels)] if progress.labels else []
    words += [f"{n} {what}" for what, n in _waiting(progress).items() if n]
    return ", ".join(words)


def draw_table(progress: Progress, most_lines: int | None, width: int) -> Table:
    """A line per camera, those with news where there is no room for all.

    Without `most_lines` nothing is left out: reasons take several lines where they need them.
    """
    cameras, live = progress.cameras, most_lines is not None
    if most_lines is not None and len(cameras) > most_lines:
        busiest = sorted(cameras, key=lambda one: (-one.failed, -one.kept, one.id))
        cameras = tuple(sorted(busiest[: most_lines - 1], key=lambda one: one.id))
    table = Table(box=box.SIMPLE_HEAD, expand=live, pad_edge=False, show_footer=True)
    _add_columns(table, progress, live=live)
    if with_lag := live and width >= ROOMY:
        table.add_column("last poll", justify="right", no_wrap=True)
    for camera in cameras:
        cells = _draw_camera(camera, width)
        table.add_row(*cells, *([_draw_lag(camera)] if with_lag else []))
    if hidden := len(progress.cameras) - len(cameras):
        table.add_row(Text(f"… and {hidden} more", "dim"))
    return table


def _add_columns(table: Table, progress: Progress, *, live: bool) -> None:
    every = progress.cameras
    total = f"{len(every)} camera{'' if len(every) == 1 else 's'}"
    table.add_column("camera", Text(total, "bold"), no_wrap=True, overflow="ellipsis", max_width=46)
    table.add_column("state", no_wrap=True)
    for header, number in (
        ("polls", sum(one.polls for one in every)),
        ("kept", sum(one.kept for one in every)),
    ):
        table.add_column(header, Text(str(number), "bold"), justify="right", no_wrap=True)
    dropped = {name: n for name, n in progress.outcomes.items() if name != Outcome.KEPT}
    table.add_column(
        "dropped, and why",
        _draw_dropped(dropped),
        ratio=1 if live else None,
        no_wrap=live,
        overflow="ellipsis",
    )
    for header, number in (
        ("faces", sum(one.faces for one in every)),
        ("vehicles", sum(one.vehicles for one in every)),
        ("moving", sum(one.moving for one in every)),
    ):
        table.add_column(header, Text(str(number), "bold"), justify="right", no_wrap=True)


def _draw_camera(camera: CameraProgress, width: int) -> list[RenderableType]:
    name = Text(camera.id)
    if width >= WIDE and camera.name:
        name.append(f"  {show(camera.name)}", "dim")
    dot, style, word = STATES[camera.health]
    state = Text.assemble((dot, "bright_cyan" if camera.polling else style), f" {word}")
    return [
        name,
        state,
        _draw_number(camera.polls),
        _draw_number(camera.kept, "green"),
        _draw_dropped(camera.dropped),
        _draw_number(camera.faces, "magenta"),
        _draw_number(camera.vehicles, "cyan"),
        _draw_number(camera.moving, "blue"),
    ]


def _draw_number(number: int, style: str = "") -> Text:
    return Text(str(number), style) if number else Text("–", "dim")


def _draw_dropped(dropped: dict[str, int]) -> Text:
    if not dropped:
        return Text("–", "dim")
    parts = (Text(f"{n} {outcome}", _style_of(outcome)) for outcome, n in dropped.items())
    return Text(", ").join(parts)


def _style_of(outcome: str) -> str:
    if outcome in NOTHING_NEW:
        return "dim"
    return "red" if outcome in FAILURES else "yellow"


def _draw_lag(camera: CameraProgress) -> Text:
    if camera.lag is None:
        return Text("–", "dim")
    text = f"{camera.lag.age_s:.0f} of {camera.lag.every_s:g} s"
    return Text(text, "red" if camera.lag.is_late else "")


def _draw_title(phase: Phase) -> Table:
    title = Table.grid(padding=(0, 2, 0, 0), expand=True)
    title.add_column(no_wrap=True)
    title.add_column(ratio=1)
    title.add_column(justify="right", no_wrap=True)
    bar = "" if phase.share is None else _draw_bar(phase.share)
    title.add_row(Text("Traboule", "bold"), bar, Text(phase.words))
    return title


def _draw_bar(share: float) -> ProgressBar:
    return ProgressBar(total=1.0, completed=share, complete_style="cyan", finished_style="cyan")


def _draw_footer(progress: Progress, footer: str) -> Text:
    words = Text()
    for what, number in _waiting(progress).items():
        words.append(f"{number} {what}", "yellow" if number else "dim").append(" · ", "dim")
    if progress.paused:
        words.append(f"{progress.paused} paused · ", "dim")
    words.append(footer, "dim")
    words.no_wrap, words.overflow = True, "ellipsis"
    return words


def _waiting(progress: Progress) -> dict[str, int]:
    states = progress.states
    return {
        "waiting for detection": states.get(ImageState.STORED, 0),
        "awaiting a model": states.get(ImageState.AWAITING_MODEL, 0),
        "quarantined": states.get(ImageState.QUARANTINED, 0),
    }
