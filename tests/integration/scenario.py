"""What a process is killed in the middle of.

Run as a script it does one scenario again and again, each time in a process that kills itself (-9)
one change later.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

from pipeline.messages import Message
from pipeline.records import Detection, ImageState
from services.detection.detector import DecodedImage
from services.maintenance.erasure import delete_image
from services.maintenance.restoring import restore_drop
from tests.stages import Bright, Stages, draw, open_stages

CHANGES = {
    "store": {"put", "delete"},
    "images": {
        "begin",
        "mark_stored",
        "mark_dropped",
        "mark_detected",
        "mark_expired",
        "remove",
    },
    "work": {"claim", "give_back", "quarantine", "await_model", "take_due"},
    "tombstones": {"add", "end_repeats"},
}


class Deadly:
    """An adapter whose n-th change, counted over all adapters, is never made."""

    def __init__(self, adapter: Any, changes: set[str], fuse: list[int]) -> None:
        self._adapter, self._changes, self._fuse = adapter, changes, fuse

    def __getattr__(self, name: str) -> Any:
        if name in self._changes:
            burn(self._fuse)
        return getattr(self._adapter, name)


def burn(fuse: list[int]) -> None:
    fuse[0] -= 1
    if fuse[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)


@dataclass
class DyingStages(Stages):
    """Stages whose every change, and every message, burns the fuse."""

    fuse: list[int] | None = None

    def publish(self, message: Message) -> None:
        if self.fuse is not None:
            burn(self.fuse)
        super().publish(message)


class Poison(Bright):
    """A detector that a picture kills."""

    def detect(self, images: Sequence[DecodedImage]) -> list[tuple[Detection, ...]]:
        os.kill(os.getpid(), signal.SIGKILL)
        return super().detect(images)


def open_dying(data: Path, fuse: list[int]) -> Stages:
    stages = open_stages(data)
    store: Any = Deadly(stages.store, CHANGES["store"], fuse)
    parts: Any = {
        part: Deadly(getattr(stages.catalog, part), CHANGES[part], fuse)
        for part in ("images", "work", "tombstones")
    }
    return DyingStages(replace(stages.catalog, **parts), store, fuse=fuse)


def keep(stages: Stages) -> None:
    stages.take(draw(1))


def set_aside(stages: Stages) -> None:
    stages.take(draw(1))
    stages.take(draw(1, noise=1))


def restore(stages: Stages) -> None:
    image = stages.first(ImageState.DROPPED)
    if image is not None:
        restore_drop(stages.maintenance, image)


def erase(stages: Stages) -> None:
    image = stages.first(ImageState.DETECTED)
    if image is not None:
        delete_image(stages.maintenance, image)


def take_up(stages: Stages) -> None:
    stages.take_up()


def meet_poison(stages: Stages) -> None:
    stages.detectors = [Poison()]
    stages.take_up()


SCENARIOS = {
    each.__name__: each for each in (keep, set_aside, restore, erase, take_up, meet_poison)
}


def kill_at_every_change(scenario: str, begun: Path, into: Path) -> None:
    """Leave a folder per death in `into`; prints each process's exit status, the last one's 0.

    Every process is a fork of this one, which has imported all it needs and holds no thread.
    """
    for n in count(1):
        data = into / f"killed-{n:02}"
        shutil.copytree(begun, data)
        pid = os.fork()
        if pid == 0:
            SCENARIOS[scenario](open_dying(data, [n]))
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        print(status, flush=True)  # noqa: T201
        if status != -signal.SIGKILL:
            shutil.rmtree(data)
            return


if __name__ == "__main__":
    if sys.argv[3] != "at":
        kill_at_every_change(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        SCENARIOS[sys.argv[1]](open_stages(Path(sys.argv[2]), float(sys.argv[4])))
