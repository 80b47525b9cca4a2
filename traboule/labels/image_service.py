"""Where a browser that has a labeling task open finds its image, and Label Studio gives hints.

The address stands in labeling tasks for good, so that there is one port for a data folder: of
several processes at work on it one serves, and another takes over when that one ends.
"""

from __future__ import annotations

import fcntl
import threading
from pathlib import Path
from types import TracebackType

from pipeline.broker import Publish
from pipeline.errors import UserError
from pipeline.logs import get_logger
from pipeline.storage import ObjectStore
from services.labeling.api import make_api, serving
from services.labeling.settings import LabelingSettings
from services.labeling.webhook import Doorbell
from traboule.labels.connection import place_of

LOCK = "images.lock"
TRIED_EVERY_S = 2.0
BEGUN_WITHIN_S = 10.0
STOP_WITHIN_S = 10.0

log = get_logger(__name__)


class ImageService:
    """At work between `with` and its end. `trouble` says why images are not shown now."""

    def __init__(
        self, data: Path, settings: LabelingSettings, store: ObjectStore, publish: Publish
    ) -> None:
        self._lock = place_of(data) / LOCK
        self._settings = settings
        self._api = make_api(settings, store, Doorbell(publish))
        self._stop = threading.Event()
        self._tried = threading.Event()
        self._thread = threading.Thread(target=self._keep_serving, name="images", daemon=True)
        self.trouble = ""

    def __enter__(self) -> ImageService:
        self._thread.start()
        self._tried.wait(BEGUN_WITHIN_S)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join(STOP_WITHIN_S)

    def _keep_serving(self) -> None:
        while not self._stop.is_set():
            try:
                self._serve()
            except (OSError, UserError) as error:
                self._note(str(error))
            self._tried.set()
            self._stop.wait(TRIED_EVERY_S)

    def _serve(self) -> None:
        """Until the end, unless another process does it."""
        with self._lock.open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._note("")
                return
            with serving(self._api, self._settings.api_host, self._settings.api_port):
                self._note("")
                self._tried.set()
                self._stop.wait()

    def _note(self, trouble: str) -> None:
        if trouble and trouble != self.trouble:
            log.warning("images are not shown", reason=trouble)
        self.trouble = trouble


def is_held(lock: Path) -> bool:
    """Whether a process is at it now."""
    try:
        with lock.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
