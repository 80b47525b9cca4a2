from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from pipeline import keys
from pipeline.catalog.drops import DropFilter
from pipeline.catalog.images import ImageFilter
from pipeline.errors import BrokerError, StorageError
from pipeline.messages import ImageStored, Message
from pipeline.records import ImageState, Outcome
from pipeline.storage import StoredObject
from services.detection.detector import Detector
from services.detection.processing import MODEL_AWAITED_S
from services.maintenance.completion import complete_storing
from services.maintenance.context import MaintenanceContext
from services.maintenance.settings import MaintenanceSettings
from services.maintenance.sweep import announce_waiting, forget_drops, sweep
from tests.stages import CAMERA, Stages, draw

GRACE_S = 120
STRANGERS = ("raw/frames/notes", "raw/dropped/README.txt", "tombstones/README.json")


@dataclass
class Announced:
    """Who was announced, and at which second of the stages' clock."""

    stages: Stages
    images: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    broker_is_up: bool = True

    def publish(self, message: Message) -> None:
        assert isinstance(message, ImageStored)
        if not self.broker_is_up:
            raise BrokerError("away")
        self.images.append(message.image)
        self.seconds.append(self.stages.seconds)

    def context(self, **settings: Any) -> MaintenanceContext:
        chosen = MaintenanceSettings(storing_grace_s=GRACE_S, **settings)
        return replace(self.stages.maintenance, publish=self.publish, settings=chosen)


@pytest.fixture
def announced(stages: Stages) -> Announced:
    return Announced(stages)


class CutOff:
    """A store whose process ends at the first put of a key that ends so; "" is any."""

    def __init__(self, store: Any, ending: str, *, after: bool) -> None:
        self._store, self._ending, self._after = store, ending, after

    def put(self, key: str, stored: StoredObject) -> None:
        cut_off = key.endswith(self._ending)
        if self._after or not cut_off:
            self._store.put(key, stored)
        if cut_off:
            raise StorageError("cut off")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def half_store(stages: Stages, body: bytes, ending: str, *, after: bool) -> str:
    store = stages.store
    stages.store = CutOff(store, ending, after=after)
    with pytest.raises(StorageError):
        stages.take(body)
    stages.store = store
    image = stages.first(ImageState.STORING)
    assert image is not None
    return image


def test_frame_with_its_mark_is_completed_and_announced(
    stages: Stages, announced: Announced
) -> None:
    image = half_store(stages, draw(1), ".json", after=True)
    stages.seconds += GRACE_S
    complete_storing(announced.context())
    assert announced.images == [image]
    assert stages.row(image).state == ImageState.STORED
    assert (stages.row(image).width, stages.row(image).height) == (320, 240)
    assert stages.keys() == [keys.frame(image), keys.frame_mark(image)]


def test_frame_without_its_mark_is_cleared(stages: Stages, announced: Announced) -> None:
    half_store(stages, draw(1), ".json", after=False)
    stages.seconds += GRACE_S
    sweep(announced.context())
    assert announced.images == stages.keys() == []
    assert stages.catalog.images.search(ImageFilter()) == []
    assert stages.take(draw(1)).outcome is Outcome.KEPT


def test_row_without_bytes_is_cleared(stages: Stages, announced: Announced) -> None:
    half_store(stages, draw(1), "", after=False)
    stages.seconds += GRACE_S
    complete_storing(announced.context())
    assert stages.catalog.images.search(ImageFilter()) == []


def test_near_duplicate_with_its_mark_is_completed_and_listed(
    stages: Stages, announced: Announced
) -> None:
    stages.keep(draw(1))
    image = half_store(stages, draw(1, noise=1), ".json", after=True)
    stages.seconds += GRACE_S
    complete_storing(announced.context())
    assert announced.images == []
    assert stages.row(image).state == ImageState.DROPPED
    [drop] = stages.catalog.drops.search(DropFilter(restorable=True))
    assert drop.image_id == image


def test_frame_is_left_alone_within_its_grace(stages: Stages, announced: Announced) -> None:
    image = half_store(stages, draw(1), ".json", after=False)
    stages.seconds += GRACE_S - 1
    complete_storing(announced.context())
    assert stages.row(image).state == ImageState.STORING
    assert stages.keys() == [keys.frame(image)]


def test_frame_that_comes_again_has_its_grace_again(stages: Stages, announced: Announced) -> None:
    half_store(stages, draw(1), ".json", after=False)
    stages.seconds += GRACE_S
    image = half_store(stages, draw(1), ".json", after=False)
    complete_storing(announced.context())
    assert stages.row(image).state == ImageState.STORING, "somebody is storing it just now"
    assert stages.keys() == [keys.frame(image)]


def test_waiting_image_is_announced_again_and_ever_later(
    stages: Stages, announced: Announced
) -> None:
    stages.keep(draw(1))
    began = stages.seconds
    with capture_logs() as lines:
        for _ in range(6 * 60):  # three hours of sweeps
            stages.seconds += 30
            announce_waiting(announced.context())
    waits = [b - a for a, b in zip([began, *announced.seconds], announced.seconds, strict=False)]
    assert waits[:6] == [120, 120, 240, 480, 960, 1920]
    assert set(waits[6:]) == {3600}
    told = [line["image"] for line in lines if line["event"] == "announced again"]
    assert told == announced.images


def test_detected_image_is_announced_no_more(stages: Stages, announced: Announced) -> None:
    stages.detecting = True
    stages.keep(draw(1))
    stages.seconds += 3600
    announce_waiting(announced.context())
    assert announced.images == []


def test_announcing_holds_back_while_many_are_under_way(
    stages: Stages, announced: Announced
) -> None:
    images = [stages.keep(draw(seed)) for seed in range(5)]
    stages.catalog.work.announce_all(stages.clock())
    announce_waiting(announced.context(max_in_flight=3))
    assert announced.images == images[:3], "the oldest first"
    announce_waiting(announced.context(max_in_flight=3))
    assert announced.images == images[:3]
    stages.detecting = True
    stages.publish(ImageStored(image=images[0]))
    announce_waiting(announced.context(max_in_flight=3))
    assert announced.images == images[:4]


@pytest.mark.parametrize("detected", [True, False])
def test_image_awaiting_a_model_is_announced_every_ten_minutes_at_most(
    stages: Stages, announced: Announced, detected: bool
) -> None:
    none: list[Detector] = []
    stages.detectors, stages.detecting = none, True
    image = stages.keep(draw(1))
    assert stages.row(image).state == ImageState.AWAITING_MODEL
    began = stages.seconds
    for _ in range(4 * 60):
        stages.seconds += 30
        before = len(announced.images)
        announce_waiting(announced.context())
        if detected and len(announced.images) > before:
            stages.publish(ImageStored(image=image))
    waits = [b - a for a, b in zip([began, *announced.seconds], announced.seconds, strict=False)]
    assert min(waits) >= MODEL_AWAITED_S
    assert len(waits) >= 3


def test_broker_that_is_away_ends_the_announcing(stages: Stages, announced: Announced) -> None:
    for seed in range(2):
        stages.keep(draw(seed))
    stages.seconds += 3600
    announced.broker_is_up = False
    announce_waiting(announced.context())
    announced.broker_is_up = True
    stages.seconds += 3600
    announce_waiting(announced.context())
    assert len(announced.images) == 2


def test_old_drops_are_forgotten_and_those_with_bytes_are_not(stages: Stages) -> None:
    stages.keep(draw(1))
    stages.keep(draw(1, noise=1))
    stages.seconds += timedelta(days=31).total_seconds()
    forget_drops(stages.maintenance)
    assert len(stages.catalog.drops.search(DropFilter())) == 1
    sweep(stages.maintenance)  # its bytes go, and then the line
    assert stages.catalog.drops.search(DropFilter(outcome=Outcome.NEAR_DUPLICATE)) == []


@pytest.mark.parametrize("key", STRANGERS)
def test_object_that_is_no_images_stops_no_sweep(stages: Stages, key: str) -> None:
    stages.store.put(key, StoredObject(b"somebody's", "text/plain"))
    image = stages.keep(draw(1), CAMERA)
    stages.seconds += timedelta(hours=25).total_seconds()
    sweep(stages.maintenance)
    assert stages.row(image).state == ImageState.EXPIRED
    assert stages.keys() == [key]


class Slow:
    """A store that takes a second to list, by a clock that moves with nothing else."""

    now = 0.0

    def __init__(self, store: Any) -> None:
        self._store = store
        self.listed: list[str] = []

    def list(self, prefix: str) -> Any:
        self.listed.append(prefix)
        self.now += 1
        return self._store.list(prefix)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def test_sweep_ends_in_time_and_the_next_goes_on(
    stages: Stages, announced: Announced, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages.keep(draw(1))
    slow = Slow(stages.store)
    clock = SimpleNamespace(monotonic=lambda: slow.now)
    monkeypatch.setattr("services.maintenance.context.time", clock)
    context = replace(announced.context(sweep_s=0.5), store=slow)
    sweep(context)
    assert slow.listed == [keys.FRAMES], "only the first step had time to begin"
    sweep(context)
    assert slow.listed == [keys.FRAMES, keys.TOMBSTONES], "the second begins with the next"
    in_no_hurry = replace(context, settings=MaintenanceSettings())
    sweep(in_no_hurry)
    assert set(slow.listed[2:]) == {keys.FRAMES, keys.DROPPED, keys.TOMBSTONES}
    assert context.rota.first == 0
