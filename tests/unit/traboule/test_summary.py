from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from traboule.health import Health, Lag
from traboule.progress import CameraProgress, Progress
from traboule.summary import Summary, print_summary

CAMERA = CameraProgress(
    id="sim-1",
    name="Simulated street 1, day",
    health=Health.OK,
    reason="",
    polling=False,
    lag=Lag(1.0, 4.0),
    outcomes={"kept": 3, "near-duplicate": 2, "unreachable": 1, "not-modified": 4},
    labels={"car": 7, "face": 2},
)
SUMMARY = Summary(
    progress=Progress((CAMERA,), {"detected": 9}),
    lasted_s=15.2,
    kept_before=6,
    finished=0,
    data=Path("/my data"),
)


def tell(summary: Summary, width: int = 200) -> str:
    out = io.StringIO()
    print_summary(Console(file=out, width=width), summary)
    return out.getvalue()


def line(told: str, name: str) -> str:
    found = [line for line in told.splitlines() if line.startswith(name)]
    assert len(found) == 1
    return found[0].removeprefix(name).strip()


def test_summary_counts_polls_and_findings() -> None:
    told = tell(SUMMARY)
    assert line(told, "Polls") == (
        "10 in 15 s, 3 kept; 4 not-modified, 2 near-duplicate, 1 unreachable"
    )
    assert line(told, "Found") == "car 7 · face 2"
    assert "sim-1" in told


def test_summary_names_the_data_so_that_it_can_be_copied() -> None:
    told = tell(SUMMARY, width=40)
    assert line(told, "Look further").endswith(" images list --data '/my data'")


def test_summary_says_what_is_continued() -> None:
    assert line(tell(SUMMARY), "Continued") == "6 images from earlier runs"
    told = tell(replace(SUMMARY, kept_before=1, finished=1))
    assert line(told, "Continued") == (
        "1 image from earlier runs, of which 1 had waited and are finished now"
    )
    assert "Continued" not in tell(replace(SUMMARY, kept_before=0))


def test_summary_says_what_waits_and_what_to_do() -> None:
    states = {"stored": 1, "awaiting-model": 12, "quarantined": 2}
    told = tell(replace(SUMMARY, progress=Progress((CAMERA,), states)))
    assert line(told, "Waiting") == (
        "1 image for detection (the next run goes on with them); "
        "12 images for a model (traboule models pull); "
        "2 images in quarantine (traboule images list --state quarantined)"
    )
    assert "Waiting" not in tell(SUMMARY)


def test_summary_of_a_run_without_polls_says_so() -> None:
    told = tell(replace(SUMMARY, progress=Progress((), {})))
    assert line(told, "Polls") == "0 in 15 s, 0 kept"
    assert line(told, "Found") == "nothing yet"


def test_summary_breaks_reasons_rather_than_hiding_them() -> None:
    told = tell(SUMMARY, width=80)
    for outcome in ("not-modified", "near-duplicate", "unreachable"):
        table = told[: told.index("Polls  ")]
        assert outcome in table
