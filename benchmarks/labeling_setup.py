"""What both measurements of labeling begin with, and the table that they end with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from tests.factories import MORNING, Wanted, make_image
from traboule.bars import progress_bar
from traboule.workspace import Workspace

BOXES = {"car": 3, "person": 2}  # in each image, found by one model
PER_CAMERA = 150  # no two pictures of one camera are the same


@dataclass(frozen=True)
class Row:
    """A line of the table. `is_met`: whether it reaches its target; None where it has none."""

    name: str
    value: str
    is_met: bool | None = None


def at_least(name: str, value: float, target: float, unit: str) -> Row:
    return Row(name, f"{value:.1f} {unit} (target: {target:g} or more)", value >= target)


def at_most(name: str, value: float, target: float, unit: str) -> Row:
    return Row(name, f"{value:.1f} {unit} (target: {target:g} or less)", value <= target)


def make_images(workspace: Workspace, count: int) -> None:
    """Small ones, detected, of as many cameras as it takes."""
    with progress_bar("drawing images", count) as advance:
        for number in range(count):
            camera, place = divmod(number, PER_CAMERA)
            at = MORNING + timedelta(seconds=place)
            make_image(workspace, Wanted(f"camera-{camera}", at, labels=BOXES))
            advance(number + 1)


def report(title: str, rows: Sequence[Row], tell: Callable[[str], None] = print) -> int:
    """The table, and the process's status: 1 where a target was missed."""
    marks = {True: "met", False: "MISSED", None: ""}
    tell(title)
    for row in rows:
        tell(f"  {row.name:44} {row.value:44} {marks[row.is_met]}".rstrip())
    return int(any(row.is_met is False for row in rows))
