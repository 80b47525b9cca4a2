from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from tests.unit.traboule.conftest import Clock
from traboule import live
from traboule.health import Health, Lag
from traboule.live import LiveTable, Phase, PlainLines, describe, draw_table, make_display
from traboule.progress import CameraProgress, Progress

BUSY = CameraProgress(
    id="cwl7033",
    name="Tunnel de Fourvière",
    health=Health.OK,
    reason="",
    polling=False,
    lag=Lag(3.2, 62.0),
    outcomes={"kept": 5, "near-duplicate": 2, "same-bytes": 9},
    labels={"face": 1, "car": 7, "bus": 2, "person": 4, "moving-object": 3},
)
FAILING = CameraProgress(
    id="gone",
    name="",
    health=Health.FAILING,
    reason="connection refused",
    polling=True,
    lag=Lag(400.0, 60.0),
    outcomes={"unreachable": 3},
)
NEW = CameraProgress(
    id="new", name="", health=Health.NEVER_POLLED, reason="", polling=False, lag=None
)
PROGRESS = Progress((BUSY, FAILING, NEW), {"stored": 2, "quarantined": 1, "detected": 40}, 4)
MANY = Progress(tuple(replace(NEW, id=f"c-{n:02}") for n in range(40)), {})


def make_terminal(width: int, height: int = 24) -> Console:
    return Console(
        file=io.StringIO(), width=width, height=height, force_terminal=True, color_system="256"
    )


def text_of(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", console.file.getvalue())


def draw(progress: Progress, width: int, most_lines: int | None = 10) -> list[str]:
    console = make_terminal(width)
    console.print(draw_table(progress, most_lines, width))
    return text_of(console).splitlines()


@pytest.mark.parametrize("width", [80, 100, 140])
def test_table_has_a_line_per_camera_whatever_the_width(width: int) -> None:
    lines = draw(PROGRESS, width)
    assert max(map(len, lines)) <= width
    for camera in PROGRESS.cameras:
        assert sum(line.split()[:1] == [camera.id] for line in lines) == 1


def test_table_says_what_a_camera_did() -> None:
    line = next(line for line in draw(PROGRESS, 140) if "cwl7033" in line)
    assert re.sub(r"\s+", " ", line).strip() == (
        "cwl7033 Tunnel de Fourvière ● ok 16 5 9 same-bytes, 2 near-duplicate 1 9 3 3 of 62 s"
    )


def test_table_sums_up_below() -> None:
    line = next(line for line in draw(PROGRESS, 140) if "3 cameras" in line)
    assert re.findall(r"\d+", line) == ["3", "19", "5", "9", "3", "2", "1", "9", "3"]


def test_table_shows_late_and_failing_in_red() -> None:
    console = make_terminal(140)
    console.print(draw_table(PROGRESS, 10, 140))
    assert isinstance(console.file, io.StringIO)
    raw = next(line for line in console.file.getvalue().splitlines() if "gone" in line)
    assert "\x1b[31m3 unreachable" in raw
    assert "\x1b[31m400 of 60 s" in raw


def test_table_leaves_out_what_the_terminal_has_no_room_for() -> None:
    lines = draw(MANY, 100, most_lines=10)
    assert sum(line.strip().startswith("c-") for line in lines) == 9
    assert any("… and 31 more" in line for line in lines)


def test_table_without_a_limit_shows_every_camera() -> None:
    lines = draw(MANY, 100, most_lines=None)
    assert sum(line.strip().startswith("c-") for line in lines) == 40


def test_live_table_fits_a_small_terminal() -> None:
    console = make_terminal(80, height=16)
    with LiveTable(console, "/data") as display:
        display.show(MANY, Phase("0:10 left", 0.5))
        frame = text_of(console).splitlines()
    assert len(frame) <= 16
    assert "0:10 left" in frame[0]
    assert "/data" in frame[-1]


def test_live_table_says_what_waits() -> None:
    console = make_terminal(140)
    with LiveTable(console, "/data") as display:
        display.show(PROGRESS, Phase("finishing"))
    assert (
        "2 waiting for detection · 0 awaiting a model · 1 quarantined · 4 paused · /data"
        in text_of(console)
    )


def test_names_from_outside_cannot_steer_the_terminal() -> None:
    hostile = replace(BUSY, name="a\x1b[2Jb\n[red]c")
    console = make_terminal(140)
    console.print(draw_table(Progress((hostile,), {}), 5, 140))
    assert isinstance(console.file, io.StringIO)
    assert "\x1b[2J" not in console.file.getvalue()
    assert "[red]c" in text_of(console)


def test_plain_lines_come_every_so_often(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(live, "time", clock)
    console = Console(file=io.StringIO(), width=10_000)
    with PlainLines(console) as display:
        for second in range(15):
            display.show(PROGRESS, Phase(f"{second} s"))
            clock.sleep(1)
    lines = text_of(console).splitlines()
    assert lines == [f"{second} s: {describe(PROGRESS)}" for second in (0, 10)]


def test_description_names_every_count() -> None:
    assert describe(PROGRESS) == (
        "19 polls, 5 kept, 9 same-bytes, 3 unreachable, 2 near-duplicate, "
        "car 7 · person 4 · moving-object 3 · bus 2 · face 1, "
        "2 waiting for detection, 1 quarantined"
    )


def test_display_is_a_table_on_terminals_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(make_display(make_terminal(80), ""), LiveTable)
    assert isinstance(make_display(Console(file=io.StringIO()), ""), PlainLines)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(make_display(make_terminal(80), ""), PlainLines)
