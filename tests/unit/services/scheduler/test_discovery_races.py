"""Discovery beside a person who changes the same cameras: whatever it read, the person is right."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pipeline import keys
from pipeline.messages import Message
from pipeline.records import Camera
from pipeline.storage import StoredObject
from services.scheduler.discovery import ask_due_feeds
from services.scheduler.feeds import FEEDS
from services.scheduler.settings import SchedulerSettings
from services.scheduler.sources import get_camera, remove_camera, save_camera
from services.scheduler.tick import SchedulerContext
from tests.stages import Stages, open_stages

QUAI = Camera(id="quai", url="https://lyon.example/1.jpg", name="Quai", feed="grandlyon")
MOVED = QUAI.model_copy(update={"name": "Quai sud"})
PAUSED = {"paused": True, "every_s": 300.0}

Deed = Callable[[], None]


@dataclass
class Meddled:
    """A store beside which something is done, once each: before an object is put, or after."""

    store: Any
    before_put: list[Deed] = field(default_factory=list)
    after_put: list[Deed] = field(default_factory=list)

    def put(self, key: str, stored: StoredObject) -> None:
        if self.before_put:
            self.before_put.pop()()
        self.store.put(key, stored)
        if self.after_put:
            self.after_put.pop()()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)


@dataclass
class Office:
    """A feed that lists one camera, its discovery, and a person with another way to the store."""

    stages: Stages
    listed: Camera = QUAI
    meanwhile: list[Deed] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.meddled = Meddled(self.stages.store)

    def list_cameras(self, fetcher: object) -> list[Camera]:
        if self.meanwhile:
            self.meanwhile.pop()()
        return [self.listed]

    def discover(self) -> None:
        def publish(message: Message) -> None:
            raise AssertionError("a discovery sends nothing")

        self.stages.seconds += 3600
        store: Any = self.meddled
        settings = SchedulerSettings(feeds=("grandlyon",))
        clock = self.stages.clock
        ask_due_feeds(SchedulerContext(self.stages.catalog, store, publish, settings, clock))
        assert not (self.meanwhile or self.meddled.before_put or self.meddled.after_put)
        assert self.stages.catalog.feeds.all()[0].reason == ""

    def save(self, camera: Camera, store: Any = None) -> None:
        save_camera(self.stages.catalog, store or self.stages.store, camera, self.stages.clock())

    def set(self, changes: dict[str, Any]) -> None:
        self.save(get_camera(self.stages.catalog, "quai").model_copy(update=changes))

    def remove(self) -> None:
        assert remove_camera(self.stages.catalog, self.stages.store, "quai")

    def camera(self) -> Camera | None:
        """What is left: the object and the row say the same, or there is neither."""
        row = self.stages.catalog.cameras.get("quai")
        if row is None:
            assert not self.stages.store.exists(keys.source("quai"))
            return None
        stored = self.stages.store.get(keys.source("quai"))
        camera = get_camera(self.stages.catalog, "quai")
        assert Camera.model_validate_json(stored.data) == camera
        return camera


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    office = Office(open_stages(tmp_path))
    monkeypatch.setitem(FEEDS, "grandlyon", office.list_cameras)
    yield office
    office.stages.catalog.close()


@pytest.fixture(params=["before_put", "after_put"])
def deeds(office: Office, request: pytest.FixtureRequest) -> list[Deed]:
    """What is done between discovery's reading and its saving, in the row, of the camera."""
    done: list[Deed] = getattr(office.meddled, request.param)
    return done


def test_camera_paused_meanwhile_stays_paused(office: Office, deeds: list[Deed]) -> None:
    office.save(QUAI)
    office.listed = MOVED
    deeds.append(lambda: office.set(PAUSED))
    office.discover()
    assert office.camera() == MOVED.model_copy(update=PAUSED), "and it is moved as well"


def test_camera_removed_meanwhile_stays_removed(office: Office, deeds: list[Deed]) -> None:
    office.save(QUAI)
    office.listed = MOVED
    deeds.append(office.remove)
    office.discover()
    assert office.camera() is None
    office.discover()
    assert office.camera() is None


def test_camera_added_by_hand_meanwhile_is_the_persons(office: Office, deeds: list[Deed]) -> None:
    mine = QUAI.model_copy(update={"feed": "manual", "url": "http://mine.example/q.jpg"})
    deeds.append(lambda: office.save(mine))
    office.discover()
    assert office.camera() == mine
    assert office.stages.catalog.feeds.all()[0].known == []


def test_camera_removed_while_its_feed_is_asked_stays_removed(office: Office) -> None:
    """The feed's row was read before: it does not know yet of the one that was cut off."""
    office.save(QUAI)
    office.meanwhile.append(office.remove)
    office.discover()
    assert office.camera() is None


def test_discovery_between_a_persons_object_and_row_leaves_them_the_same(office: Office) -> None:
    office.save(QUAI)
    office.listed = MOVED
    person = Meddled(office.stages.store, after_put=[office.discover])
    office.save(QUAI.model_copy(update=PAUSED), person)
    assert not person.after_put
    assert office.camera() == QUAI.model_copy(update=PAUSED)


def test_discovery_while_a_camera_is_removed_leaves_no_object(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.save(QUAI)
    office.listed = MOVED
    remove = office.stages.catalog.cameras.remove

    def discover_first(camera_id: str) -> bool:
        office.discover()
        assert office.camera() == MOVED
        return remove(camera_id)

    monkeypatch.setattr(office.stages.catalog.cameras, "remove", discover_first)
    office.remove()
    assert office.camera() is None


def test_camera_changed_while_it_settles_is_settled_again(office: Office) -> None:
    """The first object is the person's; the second, what was the row's when it was read."""
    person = Meddled(office.stages.store)
    person.after_put.append(
        lambda: person.before_put.append(lambda: office.save(QUAI.model_copy(update=PAUSED)))
    )
    office.save(QUAI, person)
    assert not (person.before_put or person.after_put)
    assert office.camera() == QUAI.model_copy(update=PAUSED)
