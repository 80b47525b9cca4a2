"""Everything that the services do to catalog and store, each as itself: what rights does it take?

Every branch that writes is walked once; the clock is the play's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from pipeline import keys
from pipeline.admission import Admission
from pipeline.catalog import Catalog
from pipeline.catalog.images import NewImage
from pipeline.errors import (
    BrokerError,
    FetchError,
    ModelUnavailable,
    PermanentError,
    PipelineError,
    StorageError,
)
from pipeline.fetch import Response, Validators
from pipeline.ingest import Ingest
from pipeline.messages import ImageStored, Message, PollDue
from pipeline.records import Camera, Detections, Outcome, Tombstone
from pipeline.storage import ObjectStore, StoredObject, put_json
from services.capture.poll import CaptureContext, poll
from services.detection.detector import Detector
from services.detection.processing import DetectionContext, detect_image, finish
from services.maintenance.context import MaintenanceContext
from services.maintenance.erasure import delete_image
from services.maintenance.restoring import restore_drop
from services.maintenance.settings import MaintenanceSettings
from services.maintenance.sweep import sweep
from services.scheduler.discovery import ask_due_feeds
from services.scheduler.settings import SchedulerSettings
from services.scheduler.sources import remove_camera, save_camera
from services.scheduler.tick import SchedulerContext, tick
from tests.factories import Wanted, make_provenance
from tests.stages import Bright, draw
from tests.unit.infra.init.labeling_exercises import label

CAMERA = Camera(
    id="quai",
    url="http://quai.example/1.jpg",
    detectors=("yunet",),
    every_s=60,
    feed="simulation",
)
NOBODY = "http://127.0.0.1:9"  # the discard port: no feed is there
START = datetime(2026, 11, 21, 9, tzinfo=UTC)
TURN_S = 1000


@dataclass(frozen=True)
class Means:
    """What one service has: the catalog and the store, by its own credentials."""

    catalog: Catalog
    store: ObjectStore


@dataclass
class Play:
    cast: Mapping[str, Means]
    seconds: float = 0
    answer: Response | FetchError | None = None
    sent: list[Message] = field(default_factory=list)
    broker_is_up: bool = True
    detectors: Callable[[Sequence[str]], Sequence[Detector]] = lambda _: [Bright()]

    def clock(self) -> datetime:
        return START + timedelta(seconds=self.seconds)

    def publish(self, message: Message) -> None:
        if not self.broker_is_up:
            raise BrokerError("down")
        self.sent.append(message)

    def fetch(self, url: str, validators: Validators | None = None) -> Response:
        """Stands for the camera."""
        assert self.answer is not None
        if isinstance(self.answer, FetchError):
            raise self.answer
        return self.answer

    @property
    def scheduler(self) -> SchedulerContext:
        means = self.cast["scheduler"]
        settings = SchedulerSettings(feeds=(CAMERA.feed,), simulation_url=NOBODY)
        return SchedulerContext(means.catalog, means.store, self.publish, settings, self.clock)

    @property
    def capture(self) -> CaptureContext:
        means = self.cast["capture"]
        ingest = Ingest(means.catalog, means.store, self.publish, Admission(means.catalog))
        fetcher: object = self
        return CaptureContext(
            means.catalog,
            means.store,
            fetcher,  # type: ignore[arg-type]
            ingest,
            0,
            self.clock,
        )

    @property
    def detection(self) -> DetectionContext:
        means = self.cast["detection"]
        return DetectionContext(
            means.catalog, means.store, self.publish, self.detectors, self.clock, deadline_s=25
        )

    @property
    def maintenance(self) -> MaintenanceContext:
        means = self.cast["maintenance"]
        settings = MaintenanceSettings(storing_grace_s=0)
        return MaintenanceContext(means.catalog, means.store, self.publish, settings, self.clock)

    def turn(self, answer: bytes | FetchError) -> str:
        """The camera is due, polled, and what it sent taken in; the image's id."""
        self.seconds += TURN_S
        self.sent.clear()
        tick(self.scheduler)
        [due] = [message for message in self.sent if isinstance(message, PollDue)]
        self.answer = answer if isinstance(answer, FetchError) else _ok(answer)
        poll(self.capture, due.camera, due.token)
        stored = [message for message in self.sent if isinstance(message, ImageStored)]
        return stored[0].image if stored else ""


def play_all(cast: Mapping[str, Means]) -> None:
    play = Play(cast)
    ask_due_feeds(play.scheduler)
    save_camera(play.scheduler.catalog, play.scheduler.store, CAMERA, play.clock())
    for scene in SCENES:
        scene(play)
    remove_camera(play.scheduler.catalog, play.scheduler.store, CAMERA.id)


def keep_and_detect(play: Play) -> None:
    image = play.turn(draw(1))
    detect_image(play.detection, image)
    detect_image(play.detection, image)  # said twice
    means = play.cast["detection"]
    result = Detections.model_validate_json(means.store.get(keys.detections(image)).data)
    other = result.model_copy(update={"detections": ()})  # another worker saw it otherwise
    put_json(means.store, keys.detections(image), other.model_dump_json())
    finish(play.detection, image)


def set_aside_and_restore(play: Play) -> None:
    assert play.turn(draw(1, noise=1)) == ""
    [dropped] = _images_below(play, keys.DROPPED)
    play.sent.clear()
    restore_drop(play.maintenance, dropped)
    detect_image(play.detection, dropped)


def fail(play: Play) -> None:
    """In every way that is listed, counted or given back."""
    play.turn(FetchError(Outcome.UNREACHABLE, "no answer"))
    play.seconds += 10 * TURN_S
    tick(play.scheduler)
    play.seconds += TURN_S
    tick(play.scheduler)  # the poll expired
    play.seconds += 10 * TURN_S
    play.broker_is_up = False
    tick(play.scheduler)
    play.broker_is_up = True
    image = play.turn(draw(2))
    errors = (StorageError("away"), ModelUnavailable("not yet"), PermanentError("odd"))
    for error in errors:
        play.detectors = _failing(error)
        play.seconds += TURN_S
        try:
            detect_image(play.detection, image)
        except PipelineError as raised:
            assert raised is error
    play.detectors = lambda _: [Bright()]


def erase(play: Play) -> None:
    image = play.turn(draw(3))
    delete_image(play.maintenance, image)
    detect_image(play.detection, image)
    finish(play.detection, image)  # it was at work meanwhile
    play.turn(draw(3))
    half_erased = play.turn(draw(9))
    about = Tombstone(
        id=half_erased, source=CAMERA.id, sha256_received="ab" * 32, erased_at=play.clock()
    )
    put_json(play.cast["maintenance"].store, keys.tombstone(half_erased), about.model_dump_json())
    sweep(play.maintenance)


def leave_half_done(play: Play) -> None:
    """What killed processes leave, for the sweep."""
    half_stored(play, 4, None)
    half_stored(play, 5, keys.frame)
    half_stored(play, 6, keys.dropped)
    half_stored(play, 10, keys.frame, has_row=False)  # its row was given up meanwhile
    sweep(play.maintenance)
    play.turn(draw(7))
    play.turn(draw(7, noise=1))
    dropped = max(_images_below(play, keys.DROPPED), key=keys.captured_at)
    store = play.cast["maintenance"].store
    for here, there in (
        (keys.dropped(dropped), keys.frame(dropped)),
        (keys.dropped_mark(dropped), keys.frame_mark(dropped)),
    ):
        store.put(there, store.get(here))
    sweep(play.maintenance)


def half_stored(
    play: Play, seed: int, key_of: Callable[[str], str] | None, *, has_row: bool = True
) -> None:
    means, body = play.cast["capture"], draw(seed)
    about = make_provenance(Wanted(camera=CAMERA.id, at=play.clock()), body)
    new = NewImage(about.id, about.source, about.sha256_received, about.captured_at)
    if has_row:
        means.catalog.images.begin(new, play.clock())
    key = key_of(about.id) if key_of else keys.frame(about.id)
    means.store.put(key, StoredObject(body, about.content_type))
    if key_of:
        put_json(means.store, f"{key}.json", about.model_dump_json())


def expire(play: Play) -> None:
    play.turn(draw(8))
    play.turn(draw(8, noise=1))
    for days in (1, 2, 40):
        play.seconds += days * 86400
        sweep(play.maintenance)


def label_and_erase(play: Play) -> None:
    seeds = iter(range(20, 90))

    def next_image() -> str:
        image = play.turn(draw(next(seeds)))
        detect_image(play.detection, image)
        return image

    label(play, next_image, lambda image: delete_image(play.maintenance, image))


SCENES = (
    keep_and_detect,
    set_aside_and_restore,
    fail,
    erase,
    leave_half_done,
    label_and_erase,
    expire,
)


def _failing(error: Exception) -> Callable[[Sequence[str]], Sequence[Detector]]:
    def give(names: Sequence[str]) -> Sequence[Detector]:
        raise error

    return give


def _images_below(play: Play, prefix: str) -> list[str]:
    listed = play.cast["maintenance"].store.list(prefix)
    return list(dict.fromkeys(keys.image_of(entry.key) for entry in listed))


def _ok(body: bytes) -> Response:
    return Response(200, body, {"etag": '"1"'}, CAMERA.url, 0.1)
