"""The pipeline's stages one after another, in one process, over adapters that a test may wrap.

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
from datetime import UTC, datetime, timedelta
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from pipeline.admission import Admission, Received
from pipeline.catalog import Catalog, open_catalog
from pipeline.catalog.images import ImageFilter
from pipeline.ingest import Ingest
from pipeline.messages import ImageStored, Message
from pipeline.records import (
    BoundingBox,
    Camera,
    Detection,
    ImageState,
    ModelIdentity,
    Outcome,
)
from pipeline.storage import ObjectStore, open_store
from services.detection.detector import DecodedImage, Detector
from services.detection.processing import DetectionContext, detect_image
from services.maintenance.context import MaintenanceContext
from services.maintenance.erasure import delete_image
from services.maintenance.restoring import restore_drop
from services.maintenance.settings import MaintenanceSettings
from services.maintenance.sweep import sweep

CAMERA = Camera(id="quai", url="http://quai.example/1.jpg", detectors=("yunet",))
# The killed process and the test's own share one clock, which the latter sets forward.
START = datetime.fromisoformat(
    os.environ.setdefault("SCENARIO_START", f"{datetime.now(UTC):%FT%TZ}")
)
AFTER_THE_KILL_S = 100

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


class Bright:
    """Stands for YuNet: a face is a bright red disc, until it is blurred."""

    name = "yunet"
    identity = ModelIdentity(name="yunet", sha256=None, licence="none")
    labels = ("face",)
    finds_faces = True

    def detect(self, images: Sequence[DecodedImage]) -> list[tuple[Detection, ...]]:
        return [self._find(image) for image in images]

    def _find(self, image: DecodedImage) -> tuple[Detection, ...]:
        red = (image.pixels[:, :, 2] > 230) & (image.pixels[:, :, 1] < 40)
        if not red.any():
            return ()
        rows, columns = red.any(axis=1).nonzero()[0], red.any(axis=0).nonzero()[0]
        box = BoundingBox(x1=columns[0], y1=rows[0], x2=columns[-1] + 1, y2=rows[-1] + 1)
        return (Detection(label="face", score=0.9, box=box, detector=self.name),)


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
class Stages:
    """Ingest, detection and maintenance over one store and catalog; messages are done at once."""

    catalog: Catalog
    store: ObjectStore
    fuse: list[int] | None = None
    seconds: int = 0

    def publish(self, message: Message) -> None:
        if self.fuse is not None:
            burn(self.fuse)
        if isinstance(message, ImageStored):
            detect_image(self.detection, message.image)

    def clock(self) -> datetime:
        return START + timedelta(seconds=self.seconds)

    @property
    def detection(self) -> DetectionContext:
        detectors: list[Detector] = [Bright()]
        return DetectionContext(
            self.catalog, self.store, self.publish, lambda _: detectors, self.clock, 25
        )

    @property
    def maintenance(self) -> MaintenanceContext:
        settings = MaintenanceSettings(storing_grace_s=0)
        return MaintenanceContext(self.catalog, self.store, self.publish, settings, self.clock)

    def take(self, body: bytes) -> Outcome:
        self.seconds += 10
        received = Received(CAMERA, self.clock(), CAMERA.url, body)
        ingest = Ingest(self.catalog, self.store, self.publish, Admission(self.catalog))
        return ingest.take(received).outcome

    def first(self, *states: ImageState) -> str | None:
        rows = self.catalog.images.search(ImageFilter(states=states))
        return rows[-1].id if rows else None

    def take_up(self) -> None:
        """What the next run begins with."""
        self.catalog.work.release_claims()
        self.catalog.work.announce_all(self.clock())
        sweep(self.maintenance)


def open_stages(data: Path, fuse: list[int] | None = None) -> Stages:
    catalog = open_catalog(f"sqlite:///{data / 'catalog.sqlite3'}")
    store: Any = open_store((data / "store").as_uri())
    if fuse is not None:
        store = Deadly(store, CHANGES["store"], fuse)
        parts: Any = {
            part: Deadly(getattr(catalog, part), CHANGES[part], fuse)
            for part in ("images", "work", "tombstones")
        }
        catalog = replace(catalog, **parts)
    return Stages(catalog, store, fuse, seconds=AFTER_THE_KILL_S if fuse is None else 0)


def draw(seed: int, noise: int = 0) -> bytes:
    """A street of blocks with one red face; `noise` changes bytes, not what is seen."""
    picture = Image.new("RGB", (320, 240), (90, 120, 150))
    pen = ImageDraw.Draw(picture)
    for n in range(12):
        x, y = (n * 97 + seed * 53) % 300, (n * 61 + seed * 31) % 220
        pen.rectangle((x, y, x + 40, y + 30), fill=((n * 20 + seed * 40) % 200, n * 15, 120))
    pen.ellipse((140, 100, 190, 150), fill=(255, 0, 0))
    file = BytesIO()
    picture.save(file, "JPEG", quality=90, comment=f"{noise}".encode())
    return file.getvalue()


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


SCENARIOS = {each.__name__: each for each in (keep, set_aside, restore, erase, take_up)}


def kill_at_every_change(scenario: str, begun: Path, into: Path) -> None:
    """Leave a folder per death in `into`; prints each process's exit status, the last one's 0.

    Every process is a fork of this one, which has imported all it needs and holds no thread.
    """
    for n in count(1):
        data = into / f"killed-{n:02}"
        shutil.copytree(begun, data)
        pid = os.fork()
        if pid == 0:
            SCENARIOS[scenario](open_stages(data, [n]))
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        print(status, flush=True)  # noqa: T201
        if status != -signal.SIGKILL:
            shutil.rmtree(data)
            return


if __name__ == "__main__":
    kill_at_every_change(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
