from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from pipeline import keys
from pipeline.catalog import open_catalog
from pipeline.catalog.tables import FeedRow
from pipeline.errors import FetchError, StorageError, TransientError
from pipeline.messages import Message
from pipeline.records import Camera, Outcome, Policy
from pipeline.storage import open_store
from services.scheduler.discovery import Change, ask_due_feeds, compare
from services.scheduler.feeds import FEEDS
from services.scheduler.settings import SchedulerSettings
from services.scheduler.sources import get_camera, remove_camera, save_camera
from services.scheduler.tick import SchedulerContext

START = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
QUAI = Camera(id="quai", url="https://lyon.example/1.jpg", name="Quai", feed="grandlyon")
PONT = Camera(id="pont", url="https://lyon.example/2.jpg", name="Pont", feed="grandlyon")
STREET = Camera(id="sim-1", url="http://simulation:8090/camera/sim-1.jpg", feed="simulation")


@dataclass
class Listed:
    """A feed as the test wants it: a list, or an error. Asking may take a while."""

    cameras: list[Camera] | Exception
    asked: int = 0
    meanwhile: Callable[[], None] = lambda: None

    def __call__(self, fetcher: object) -> list[Camera]:
        self.asked += 1
        self.meanwhile()
        if isinstance(self.cameras, Exception):
            raise self.cameras
        return list(self.cameras)


class Store:
    """One that can be out of order."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.room = 1000

    def put(self, key: str, stored: Any) -> None:
        if self.room == 0:
            raise StorageError("no room")
        self.room -= 1
        self._store.put(key, stored)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


@dataclass
class Office:
    """A scheduler with two feeds, whose clock and lists the test holds."""

    data: Path
    now: datetime = START
    lyon: Listed = field(default_factory=lambda: Listed([QUAI, PONT]))
    city: Listed = field(default_factory=lambda: Listed([STREET]))
    feeds: tuple[str, ...] = ("grandlyon", "simulation")

    def __post_init__(self) -> None:
        self.store = Store(open_store((self.data / "store").as_uri()))
        self.catalog = open_catalog(f"sqlite:///{self.data / 'c.sqlite3'}")

    @property
    def context(self) -> SchedulerContext:
        def publish(message: Message) -> None:
            raise AssertionError("a discovery sends nothing")

        settings = SchedulerSettings(feeds=self.feeds)
        store: Any = self.store
        return SchedulerContext(self.catalog, store, publish, settings, lambda: self.now)

    def ask_after(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        ask_due_feeds(self.context)

    def row(self, feed: str) -> FeedRow:
        [row] = [row for row in self.catalog.feeds.all() if row.id == feed]
        return row

    def due_in_s(self, feed: str) -> float:
        return (self.row(feed).due_at - self.now).total_seconds()

    def ids(self) -> list[str]:
        return [row.id for row in self.catalog.cameras.all()]

    def remove(self, camera_id: str) -> None:
        assert remove_camera(self.catalog, self.context.store, camera_id)

    def save(self, camera: Camera) -> None:
        save_camera(self.catalog, self.context.store, camera, self.now)


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    office = Office(tmp_path)
    monkeypatch.setitem(FEEDS, "grandlyon", office.lyon)
    monkeypatch.setitem(FEEDS, "simulation", office.city)
    yield office
    office.catalog.close()


def test_feeds_cameras_are_taken_up_without_a_command(office: Office) -> None:
    office.ask_after(0)
    assert office.ids() == ["pont", "quai", "sim-1"]
    assert get_camera(office.catalog, "quai") == QUAI
    assert office.context.store.exists(keys.source("quai"))
    row = office.row("grandlyon")
    assert (row.found_at, row.cameras, row.reason, row.known) == (START, 2, "", ["pont", "quai"])


def test_feed_is_asked_again_in_an_hour(office: Office) -> None:
    office.ask_after(0)
    office.ask_after(3599)
    assert office.lyon.asked == 1
    office.ask_after(1)
    assert office.lyon.asked == 2


def test_scheduler_without_feeds_asks_nobody(office: Office) -> None:
    office.feeds = ()
    office.ask_after(0)
    assert (office.lyon.asked, office.city.asked, office.ids()) == (0, 0, [])


def test_feed_is_asked_by_one_of_many_schedulers(office: Office) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: ask_due_feeds(office.context), range(16)))
    assert (office.lyon.asked, office.city.asked) == (1, 1)


def test_feed_whose_scheduler_died_is_asked_by_another(office: Office) -> None:
    assert office.catalog.feeds.claim("grandlyon", "dead", START, START + timedelta(seconds=60))
    office.ask_after(59)
    assert office.lyon.asked == 0
    office.ask_after(1)
    assert office.ids() == ["pont", "quai", "sim-1"]


def test_failing_feed_is_asked_at_growing_intervals(office: Office) -> None:
    office.lyon.cameras = TransientError("no answer")
    waits: list[float] = []
    for _ in range(8):
        office.ask_after(office.due_in_s("grandlyon") if waits else 0)
        waits.append(office.due_in_s("grandlyon"))
    assert waits == [15, 30, 60, 120, 240, 480, 600, 600]
    row = office.row("grandlyon")
    assert (row.failures, row.reason, row.found_at) == (8, "no answer", None)
    office.lyon.cameras = [QUAI]
    office.ask_after(600)
    row = office.row("grandlyon")
    assert (row.failures, row.reason, row.found_at) == (0, "", office.now)


def test_feed_that_fails_does_not_keep_another_waiting(office: Office) -> None:
    office.lyon.cameras = TransientError("no answer")
    office.ask_after(0)
    assert office.ids() == ["sim-1"]


def test_slow_feed_leaves_the_next_to_the_next_message(office: Office) -> None:
    def take_long() -> None:
        office.now += timedelta(seconds=20)

    office.lyon.meanwhile = take_long
    office.ask_after(0)
    assert (office.lyon.asked, office.city.asked) == (1, 0)
    office.ask_after(0)
    assert (office.lyon.asked, office.city.asked) == (1, 1)


@pytest.mark.parametrize("outcome", [Outcome.UNREACHABLE, Outcome.TIMED_OUT])
def test_city_that_does_not_run_is_asked_often_and_quietly(
    office: Office, outcome: Outcome
) -> None:
    office.city.cameras = FetchError(outcome, "simulation: no such host")
    waits: list[float] = []
    with capture_logs() as told:
        for _ in range(3):
            office.ask_after(office.due_in_s("simulation") if waits else 0)
            waits.append(office.due_in_s("simulation"))
    assert waits == [15, 30, 30]
    levels = {line["log_level"] for line in told if line["feed"] == "simulation"}
    assert levels == {"debug"}
    assert office.row("simulation").reason == "not running"
    office.city.cameras = [STREET]
    office.ask_after(30)
    assert "sim-1" in office.ids()
    assert office.due_in_s("simulation") == 30, "a person may start it with more cameras"


def test_city_that_answers_with_an_error_is_told(office: Office) -> None:
    office.city.cameras = FetchError(Outcome.HTTP_ERROR, "simulation: 500")
    with capture_logs() as told:
        office.ask_after(0)
    assert [line["feed"] for line in told if line["log_level"] == "warning"] == ["simulation"]
    assert office.row("simulation").reason == "simulation: 500"


def test_unreachable_public_feed_says_why(office: Office) -> None:
    office.lyon.cameras = FetchError(Outcome.UNREACHABLE, "lyon.example: no such host")
    office.ask_after(0)
    assert office.row("grandlyon").reason == "lyon.example: no such host"


def test_feed_that_there_is_not_is_told(office: Office) -> None:
    office.feeds = ("paris", "grandlyon")
    office.ask_after(0)
    assert "there are: grandlyon, simulation" in office.row("paris").reason
    assert "quai" in office.ids()


def test_known_camera_keeps_what_a_person_has_set(office: Office) -> None:
    office.ask_after(0)
    settings = {
        "policy": Policy.KEEP,
        "every_s": 300.0,
        "paused": True,
        "detectors": ("haar",),
        "near_duplicate_distance": -1,
        "keep_truncated": True,
    }
    office.save(QUAI.model_copy(update=settings))
    office.lyon.cameras = [QUAI.model_copy(update={"name": "Quai sud", "latitude": 45.7})]
    office.ask_after(3600)
    expected = QUAI.model_copy(update={**settings, "name": "Quai sud", "latitude": 45.7})
    assert get_camera(office.catalog, "quai") == expected


def test_removed_camera_is_not_added_again(office: Office) -> None:
    office.ask_after(0)
    office.remove("quai")
    office.ask_after(3600)
    assert office.ids() == ["pont", "sim-1"]
    assert office.row("grandlyon").known == ["pont", "quai"]


def test_camera_taken_up_by_hand_and_removed_is_not_added_again(office: Office) -> None:
    office.save(QUAI)
    office.remove("quai")
    office.ask_after(0)
    assert office.ids() == ["pont", "sim-1"]


def test_camera_of_a_persons_own_is_left_alone(office: Office) -> None:
    mine = QUAI.model_copy(update={"feed": "manual", "url": "http://mine.example/q.jpg"})
    office.save(mine)
    office.ask_after(0)
    assert get_camera(office.catalog, "quai") == mine
    assert office.row("grandlyon").known == ["pont"]


def test_camera_that_the_feed_no_longer_lists_stays(office: Office) -> None:
    office.ask_after(0)
    office.lyon.cameras = [PONT]
    office.ask_after(3600)
    assert "quai" in office.ids()


def test_discovery_cut_off_by_a_full_store_goes_on_where_it_was(office: Office) -> None:
    office.store.room = 1
    office.ask_after(0)
    assert office.ids() == ["quai"]
    row = office.row("grandlyon")
    assert (row.reason, row.known, row.found_at) == ("no room", [], None)
    office.store.room = 1000
    office.ask_after(15)
    assert office.ids() == ["pont", "quai", "sim-1"]
    assert office.row("grandlyon").known == ["pont", "quai"]


def test_discovery_ends_in_time_and_goes_on_later(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = [QUAI.model_copy(update={"id": f"q-{number}"}) for number in range(9)]
    office.lyon.cameras = listed
    put = office.store.put

    def put_slowly(key: str, stored: Any) -> None:
        office.now += timedelta(seconds=4)
        put(key, stored)

    monkeypatch.setattr(office.store, "put", put_slowly)
    office.ask_after(0)
    assert len(office.ids()) == 7
    assert "no time" in office.row("grandlyon").reason
    office.ask_after(15)
    assert len(office.ids()) == 9


def test_by_hand_a_removed_camera_is_new(office: Office) -> None:
    office.ask_after(0)
    office.remove("quai")
    assert compare(office.catalog, QUAI).change is Change.ADDED
    assert compare(office.catalog, QUAI, ["quai"]).change is Change.REMOVED
    assert compare(office.catalog, PONT, ["pont"]).change is Change.UNCHANGED
