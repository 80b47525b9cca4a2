"""The pipeline's stages one after another, in one process; messages are done at once."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from pipeline.admission import Admission, Received
from pipeline.catalog import Catalog, open_catalog
from pipeline.catalog.images import ImageFilter
from pipeline.catalog.tables import ImageRow
from pipeline.ingest import Ingest, Result
from pipeline.messages import ImageStored, Message
from pipeline.records import BoundingBox, Camera, Detection, ImageState, ModelIdentity
from pipeline.storage import ObjectStore, open_store
from services.detection.detector import DecodedImage, Detector
from services.detection.processing import DetectionContext, detect_image
from services.maintenance.context import MaintenanceContext
from services.maintenance.rebuild import Rebuilt, rebuild_catalog
from services.maintenance.settings import MaintenanceSettings
from services.maintenance.sweep import sweep

CAMERA = Camera(id="quai", url="http://quai.example/1.jpg", detectors=("yunet",))
# One clock for this process and those it starts.
START = datetime.fromisoformat(os.environ.setdefault("STAGES_START", f"{datetime.now(UTC):%FT%TZ}"))


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
        rows, columns = np.flatnonzero(red.any(axis=1)), np.flatnonzero(red.any(axis=0))
        box = BoundingBox(x1=columns[0], y1=rows[0], x2=columns[-1] + 1, y2=rows[-1] + 1)
        return (Detection(label="face", score=0.9, box=box, detector=self.name),)


@dataclass
class Stages:
    """Ingest, detection and maintenance over one store and catalog, with a clock of their own."""

    catalog: Catalog
    store: ObjectStore
    seconds: float = 0
    detectors: list[Detector] = field(default_factory=lambda: [Bright()])
    settings: MaintenanceSettings = field(
        default_factory=lambda: MaintenanceSettings(storing_grace_s=0)
    )
    detecting: bool = True

    def publish(self, message: Message) -> None:
        if self.detecting and isinstance(message, ImageStored):
            detect_image(self.detection, message.image)

    def clock(self) -> datetime:
        return START + timedelta(seconds=self.seconds)

    @property
    def detection(self) -> DetectionContext:
        return DetectionContext(
            catalog=self.catalog,
            store=self.store,
            publish=self.publish,
            detectors=lambda _: self.detectors,
            clock=self.clock,
            deadline_s=25,
        )

    @property
    def maintenance(self) -> MaintenanceContext:
        return MaintenanceContext(self.catalog, self.store, self.publish, self.settings, self.clock)

    def take(self, body: bytes, camera: Camera = CAMERA) -> Result:
        """A frame arrives, ten seconds after the last one."""
        self.seconds += 10
        received = Received(camera, self.clock(), camera.url, body)
        ingest = Ingest(self.catalog, self.store, self.publish, Admission(self.catalog))
        return ingest.take(received)

    def keep(self, body: bytes, camera: Camera = CAMERA) -> str:
        """The id of a frame that arrives and is kept or set aside."""
        image = self.take(body, camera).image
        assert image is not None
        return image

    def row(self, image: str) -> ImageRow:
        row = self.catalog.images.get(image)
        assert row is not None
        return row

    def first(self, *states: ImageState) -> str | None:
        rows = self.catalog.images.search(ImageFilter(states=states))
        return rows[-1].id if rows else None

    def keys(self, prefix: str = "") -> list[str]:
        """The store's own listing."""
        return [entry.key for entry in self.store.list(prefix)]

    def take_up(self) -> None:
        """What the next run begins with."""
        self.catalog.work.release_claims()
        self.catalog.work.announce_all(self.clock())
        sweep(self.maintenance)


def rebuild(stages: Stages, data: Path) -> Rebuilt:
    """The stages go on with a catalog made anew."""
    stages.catalog.close()
    catalog = open_catalog(f"sqlite:///{data / 'rebuilt.sqlite3'}")
    rebuilt = rebuild_catalog(catalog, stages.store, stages.clock(), lambda key: None)
    stages.catalog = catalog
    return rebuilt


def open_stages(data: Path, seconds: float = 0) -> Stages:
    catalog = open_catalog(f"sqlite:///{data / 'catalog.sqlite3'}")
    return Stages(catalog, open_store((data / "store").as_uri()), seconds)


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
