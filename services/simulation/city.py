"""The cameras of the city and the picture that each shows now."""

from __future__ import annotations

import hashlib
import io
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from services.simulation.drawing import draw
from services.simulation.folder import JPEG, PictureFolder
from services.simulation.geometry import build_camera
from services.simulation.scene import build_scene
from services.simulation.truth import Truth, find_objects

QUALITY = 85  # JPEG


@dataclass(frozen=True)
class Frame:
    """What a camera shows during one refresh. Pictures from a folder have no known truth."""

    picture: bytes
    content_type: str
    number: int
    etag: str
    shown_since: float  # seconds since 1970
    truth: Truth | None


@dataclass(frozen=True)
class CityCamera:
    """One camera of the list. Like many real ones, some send no validators (ETag, date).

    Whoever is seen by a camera that is not `drawn` may be a real person. `remark` says what it
    shows, where its name does not.
    """

    id: str
    name: str
    latitude: float
    longitude: float
    validators: bool
    drawn: bool = True
    remark: str = ""


class City:
    """Drawn cameras `sim-1`, `sim-2`, … and one `folder-1`, … per folder of pictures.

    Odd drawn cameras see the day and send validators, even ones see the night and send none. A
    drawn camera's frames are numbered from 1970 on, so that a city started again goes on where it
    was; a folder is shown from its first picture (by name), and from the start after its last.
    FileNotFoundError for a folder that is not there or has no picture.
    """

    def __init__(
        self,
        cameras: int,
        *,
        seed: int = 0,
        refresh_s: float = 5.0,
        clock: Callable[[], float] = time.time,
        folders: Sequence[Path] = (),
    ) -> None:
        self.refresh_s = refresh_s
        self._clock, self._started = clock, clock()
        self._views: dict[str, _DrawnView | _FolderView] = {}
        for number in range(1, cameras + 1):
            self._views[f"sim-{number}"] = _DrawnView(seed, number)
        for number, folder in enumerate(folders, 1):
            self._views[f"folder-{number}"] = _FolderView(PictureFolder(folder), number)
        # One at a time: polls that come together must not draw the same street twice.
        self._drawing = threading.Lock()
        self._shown: dict[str, Frame] = {}

    @property
    def camera_ids(self) -> tuple[str, ...]:
        return tuple(self._views)

    def camera(self, camera_id: str) -> CityCamera:
        """Raises KeyError for a camera that the city does not have."""
        return self._views[camera_id].camera

    def frame(self, camera_id: str) -> Frame:
        """The frame of this moment: the same bytes until the next refresh. KeyError as above."""
        view = self._views[camera_id]
        now = self._clock()
        since = self._started if isinstance(view, _FolderView) else 0.0
        number = int((now - since) // self.refresh_s)
        if self._is_stale(camera_id, number):
            with self._drawing:
                if self._is_stale(camera_id, number):
                    shown_since = since + number * self.refresh_s
                    self._shown[camera_id] = view.show(number, shown_since)
        return self._shown[camera_id]

    def _is_stale(self, camera_id: str, number: int) -> bool:
        """Never for a number below the one shown: two polls may overtake each other."""
        shown = self._shown.get(camera_id)
        return shown is None or shown.number < number


class _DrawnView:
    def __init__(self, seed: int, number: int) -> None:
        self._view = build_camera(seed, number)
        self._night = number % 2 == 0
        self.camera = CityCamera(
            id=f"sim-{number}",
            name=f"Simulated street {number}, {'night' if self._night else 'day'}",
            latitude=45.757 + 0.004 * (number % 5),
            longitude=4.832 + 0.003 * (number // 5),
            validators=not self._night,
        )

    def show(self, number: int, since: float) -> Frame:
        scene = build_scene(self._view, number, night=self._night)
        jpeg = io.BytesIO()
        draw(scene, noise_seed=number).save(jpeg, "JPEG", quality=QUALITY)
        picture = jpeg.getvalue()
        truth = Truth(number, not self._night, find_objects(scene))
        return Frame(picture, JPEG, number, _tag(picture), since, truth)


class _FolderView:
    def __init__(self, folder: PictureFolder, number: int) -> None:
        self._folder = folder
        self.camera = CityCamera(
            id=f"folder-{number}",
            name=f"Pictures of {folder.path.name}",
            latitude=45.767,
            longitude=4.834,
            validators=False,
            drawn=False,
            remark=folder.describe(),
        )

    def show(self, number: int, since: float) -> Frame:
        picture, content_type = self._folder.read(number)
        return Frame(picture, content_type, number, _tag(picture), since, None)


def _tag(picture: bytes) -> str:
    return f'"{hashlib.sha256(picture).hexdigest()[:16]}"'
