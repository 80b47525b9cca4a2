"""The ML backend at work for a test, with detectors that find what a test painted.

with run_backend(store, password_file) as backend: backend.url, backend.detectors["yolox-nano"], …
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import requests
from PIL import Image, ImageDraw

from pipeline.errors import ModelUnavailable
from pipeline.fetch import Fetcher, FetchLimits
from pipeline.records import BoundingBox, Detection, ModelIdentity
from pipeline.storage import ObjectStore
from services.detection.backend.api import Backend, make_api
from services.detection.backend.images import TaskImages
from services.detection.backend.predicting import Predictor
from services.detection.backend.settings import BackendSettings
from services.detection.detector import DecodedImage, Detector
from services.labeling.api import serving

PASSWORD = "open sesame"
SIZE = (320, 240)
PLACE = (64, 60, 160, 120)  # 20, 25, 30 and 25 percent
COLOURS = {"car": (255, 0, 0), "bus": (0, 0, 255), "face": (0, 255, 0)}


@dataclass
class Painted:
    """Finds the one block of each colour. `before`: what happens as it looks."""

    name: str = "yolox-nano"
    labels: tuple[str, ...] = ("car", "bus")
    sha256: str | None = "1f2e3d4c" + "0" * 56
    finds_faces: bool = False
    looks: int = 0
    before: Callable[[], None] = lambda: None

    @property
    def identity(self) -> ModelIdentity:
        return ModelIdentity(name=self.name, sha256=self.sha256, licence="none")

    def detect(self, images: Sequence[DecodedImage]) -> list[tuple[Detection, ...]]:
        self.looks += len(images)
        self.before()
        return [tuple(self._find(image.pixels)) for image in images]

    def _find(self, pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> Iterator[Detection]:
        for label in self.labels:
            away = np.abs(pixels[:, :, ::-1].astype(int) - COLOURS[label]).max(axis=2)
            rows, columns = np.nonzero(away < 60)
            if len(rows):
                x1, y1, x2, y2 = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
                box = BoundingBox(x1=x1, y1=y1, x2=x2, y2=y2)
                yield Detection(label=label, score=0.8, box=box, detector=self.name)


def paint(*labels: str, format: str = "PNG") -> bytes:
    """A grey picture with a block for each label, side by side; PNG keeps their very edges."""
    picture = Image.new("RGB", SIZE, "#888")
    x1, y1, x2, y2 = PLACE
    for number, label in enumerate(labels):
        corners = (x1 + 110 * number, y1, x2 + 110 * number - 1, y2 - 1)
        ImageDraw.Draw(picture).rectangle(corners, fill=COLOURS[label])
    file = io.BytesIO()
    picture.save(file, format)
    return file.getvalue()


@dataclass
class RunningBackend:
    """Those named in `missing` have no model file. `before_giving`: as detectors are asked for."""

    settings: BackendSettings
    detectors: dict[str, Painted] = field(
        default_factory=lambda: {
            "yolox-nano": Painted(),
            "yunet": Painted("yunet", ("face",), None, True),
        }
    )
    missing: set[str] = field(default_factory=set)
    url: str = ""
    before_giving: Callable[[], object] = lambda: None

    def give(self, names: Sequence[str]) -> Sequence[Detector]:
        self.before_giving()
        for name in names:
            if name in self.missing:
                raise ModelUnavailable(f"the model {name} is missing: run `traboule models pull`")
        return [self.detectors[name] for name in names]

    @property
    def looks(self) -> int:
        return sum(detector.looks for detector in self.detectors.values())

    def ask(
        self,
        path: str,
        body: Mapping[str, Any] | bytes | None = None,
        login: tuple[str, str] | None = ("label-studio", PASSWORD),
    ) -> requests.Response:
        """A POST where there is a body, else a GET."""
        with requests.Session() as session:
            session.trust_env = False
            if body is None:
                return session.get(self.url + path, auth=login, timeout=30)
            sent = {"data": body} if isinstance(body, bytes) else {"json": body}
            return session.post(self.url + path, auth=login, timeout=30, **sent)


@contextmanager
def run_backend(
    store: ObjectStore, password_file: Path, threads: int = 2, **settings: Any
) -> Iterator[RunningBackend]:
    password_file.write_text(PASSWORD + "\n")
    running = RunningBackend(BackendSettings(password_file=password_file, **settings))
    limits = FetchLimits(deadline_s=running.settings.fetch_s, max_bytes=running.settings.max_bytes)
    fetcher = Fetcher(limits, "Traboule/test")
    images = TaskImages(store, fetcher, running.settings.label_studio_url)
    with closing(Predictor(images, threads)) as predictor:
        api = make_api(Backend(running.settings, running.give, predictor))
        with serving(api, "127.0.0.1", 0) as port:
            running.url = f"http://127.0.0.1:{port}"
            yield running
