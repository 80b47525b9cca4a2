"""Letting the simulated cameras' frames flow, stopping them, and waiting until nothing waits."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from threading import Event

from redis.exceptions import RedisError

from pipeline import keys
from pipeline.cadence import utc_now
from pipeline.catalog.cameras import camera_of
from pipeline.catalog.images import ImageFilter
from pipeline.errors import PipelineError
from pipeline.records import Camera, ImageState
from services.scheduler.sources import save_camera
from tests.e2e import faces
from tests.e2e.stack import Stack

CAMERAS = 8
# A face search takes 0.7 s of a core and frame, and there are four frames a second.
DETECTORS = ("moving-object",)
KNOWN_WITHIN_S = 240.0
DRAWN_WITHIN_S = 240.0
DRAINS_WITHIN_S = 300.0
FIRST_IMAGES = 8
FLOWS_WITHIN_S = 300.0
RESUMES_WITHIN_S = 300.0  # cameras that failed for a minute wait as long again
QUEUES = ("capture", "detection")
WAITING = (ImageState.STORING, ImageState.STORED, ImageState.AWAITING_MODEL)


@dataclass(frozen=True)
class Flow:
    """`stopped`: whoever waits gives up when it is set. `cameras` is how many there are."""

    stack: Stack
    stopped: Event
    cameras: int = CAMERAS

    def prepare(self) -> None:
        """The cameras as discovery finds them, but with cheaper detectors; none is polled yet."""

        def all_known() -> bool:
            return len(self._cameras()) == self.cameras

        self.wait(all_known, KNOWN_WITHIN_S, f"{self.cameras} cameras discovered")
        self._save(paused=True)
        self._warm_up()
        self.drain(DRAINS_WITHIN_S)

    def _warm_up(self) -> None:
        """A camera's first frame takes a second to draw: its street is built, and kept."""
        host = self.stack.address("simulation", "outside")
        for number in range(1, CAMERAS + 1):
            connection = HTTPConnection(host, 8090, timeout=DRAWN_WITHIN_S)
            with closing(connection):
                connection.request("GET", f"/camera/sim-{number}.jpg")
                assert connection.getresponse().status == 200

    def start(self) -> None:
        """All cameras are polled, and detection has results again."""
        self._save(paused=False)
        self.wait_for_results(FIRST_IMAGES, FLOWS_WITHIN_S)

    def stop(self) -> None:
        self._save(paused=True)

    def wait_for_results(self, count: int, within_s: float = RESUMES_WITHIN_S) -> None:
        """Of frames captured from now on."""
        since = int(time.time())

        def arrived() -> bool:
            listed = self.stack.store().list(keys.DETECTIONS)
            ids = [keys.image_of(entry.key) for entry in listed]
            return sum(keys.captured_at(one).timestamp() >= since for one in ids) >= count

        self.wait(arrived, within_s, f"{count} new results")

    def drain(self, within_s: float) -> None:
        """Until nothing waits: no poll under way, no message, no image without its result."""
        self.wait(lambda: not self.waiting(), within_s, "the backlog drained", self._describe)

    def waiting(self) -> dict[str, int]:
        """What waits, and how much of it."""
        with self.stack.catalog() as catalog:
            rows = catalog.cameras.all()
            waiting = ImageFilter(states=WAITING)
            found = {
                "cameras that go on": sum(not row.paused for row in rows),
                "polls": sum(row.lease_token is not None for row in rows),
                "images": catalog.images.count(waiting),
            }
        found["frames"] = len(list(self.stack.store().list(keys.FRAMES)))
        with self.stack.broker() as broker:
            for queue in QUEUES:
                found[f"messages to {queue}"] = broker.llen(queue)
                found[f"messages in {queue}"] = broker.hlen(f"{queue}.unacked")
        return {what: count for what, count in found.items() if count}

    def wait(
        self,
        true: Callable[[], object],
        within_s: float,
        what: str,
        describe: Callable[[], object] = str,
    ) -> None:
        """What does not answer meanwhile is not true yet."""
        ends_at = time.monotonic() + within_s
        while True:
            assert not self.stopped.is_set(), "the tests end"
            try:
                if true():
                    return
                problem = ""
            except (PipelineError, RedisError, KeyError) as error:
                problem = str(error)
            late = time.monotonic() > ends_at
            assert not late, f"not within {within_s:.0f} s: {what} {problem} {describe()}"
            self.stopped.wait(0.5)

    def _describe(self) -> object:
        try:
            return self.waiting()
        except (PipelineError, RedisError) as error:
            return error

    def _cameras(self) -> list[Camera]:
        with self.stack.catalog() as catalog:
            return [camera_of(row) for row in catalog.cameras.all()]

    def _save(self, *, paused: bool) -> None:
        store = self.stack.store()
        with self.stack.catalog() as catalog:
            for row in catalog.cameras.all():
                chosen = faces.SETTINGS if row.id == faces.CAMERA else {"detectors": DETECTORS}
                changed = {**chosen, "paused": paused}
                camera = camera_of(row).model_copy(update=changed)
                save_camera(catalog, store, camera, utc_now())
