from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.catalog import open_catalog
from pipeline.catalog.cameras import PollEnd
from pipeline.catalog.drops import DropFilter
from pipeline.errors import BrokerError
from pipeline.messages import Message, PollDue
from pipeline.records import Camera, Outcome
from pipeline.storage import open_store
from services.scheduler.settings import SchedulerSettings
from services.scheduler.sources import save_camera
from services.scheduler.tick import SchedulerContext, count_lost_polls, tick

START = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)


@dataclass
class Desk:
    """A scheduler whose clock and broker the test holds."""

    context: SchedulerContext
    now: datetime = START
    sent: list[PollDue] = field(default_factory=list)
    broker_is_up: bool = True

    def publish(self, message: Message) -> None:
        if not self.broker_is_up:
            raise BrokerError("down")
        assert isinstance(message, PollDue)
        self.sent.append(message)

    def add(self, name: str, host: str = "h.example", every_s: float = 60.0) -> None:
        camera = Camera(id=name, url=f"http://{host}/{name}.jpg", every_s=every_s)
        save_camera(self.context.catalog, self.context.store, camera, self.now)

    def tick_after(self, seconds: float) -> list[str]:
        self.now += timedelta(seconds=seconds)
        before = len(self.sent)
        tick(self.context)
        return [message.camera for message in self.sent[before:]]

    def end(self, message: PollDue, outcome: Outcome = Outcome.KEPT) -> None:
        due_at = self.now + timedelta(seconds=60)
        end = PollEnd(outcome=outcome, at=self.now, due_at=due_at)
        assert self.context.catalog.cameras.finish(message.camera, message.token, end)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    holder: list[Desk] = []

    def publish(message: Message) -> None:
        holder[0].publish(message)

    clock: Callable[[], datetime] = lambda: holder[0].now  # noqa: E731
    catalog = open_catalog(f"sqlite:///{tmp_path / 'c.sqlite3'}")
    store = open_store((tmp_path / "store").as_uri())
    holder.append(Desk(SchedulerContext(catalog, store, publish, SchedulerSettings(), clock)))
    yield holder[0]
    catalog.close()


def test_camera_added_while_it_runs_is_polled_without_a_restart(desk: Desk) -> None:
    assert desk.tick_after(1) == []
    desk.add("a")
    assert desk.tick_after(15) == ["a"]


def test_camera_is_polled_by_one_at_a_time(desk: Desk) -> None:
    desk.add("a", every_s=1)
    assert desk.tick_after(15) == ["a"]
    assert desk.tick_after(15) == []
    desk.end(desk.sent[0])
    assert desk.tick_after(60) == ["a"]


def test_host_is_not_asked_more_than_three_times_at_once(desk: Desk) -> None:
    for n in range(6):
        desk.add(f"a{n}")
    desk.add("other", host="elsewhere.example")
    polled = desk.tick_after(15)
    assert len([name for name in polled if name.startswith("a")]) == 3
    assert "other" in polled
    desk.end(next(message for message in desk.sent if message.camera.startswith("a")))
    assert len(desk.tick_after(1)) == 1


def test_poll_without_an_outcome_is_counted_and_listed_as_expired(desk: Desk) -> None:
    desk.add("a")
    desk.tick_after(15)
    assert desk.tick_after(46) == []
    assert desk.context.catalog.counters.totals() == {"a": {"expired": 1}}
    [drop] = desk.context.catalog.drops.search(DropFilter())
    assert (drop.source, drop.outcome) == ("a", "expired")
    assert desk.tick_after(200) == ["a"], "it is polled again, later"
    assert desk.sent[0].token != desk.sent[1].token


def test_poll_that_the_broker_does_not_take_stays_due(desk: Desk) -> None:
    desk.add("a")
    desk.broker_is_up = False
    assert desk.tick_after(15) == []
    desk.broker_is_up = True
    assert desk.tick_after(1) == ["a"]


def test_paused_and_removed_cameras_are_not_polled(desk: Desk) -> None:
    desk.add("a")
    catalog, store = desk.context.catalog, desk.context.store
    paused = Camera(id="a", url="http://h.example/a.jpg", paused=True)
    save_camera(catalog, store, paused, desk.now)
    assert desk.tick_after(60) == []
    save_camera(catalog, store, paused.model_copy(update={"paused": False}), desk.now)
    assert desk.tick_after(60) == ["a"]


def test_two_schedulers_never_poll_twice(desk: Desk) -> None:
    for n in range(3):
        desk.add(f"a{n}")
    desk.now += timedelta(seconds=15)
    tick(desk.context)
    tick(desk.context)
    assert sorted(message.camera for message in desk.sent) == ["a0", "a1", "a2"]


def test_busy_host_does_not_keep_another_hosts_camera_waiting(desk: Desk) -> None:
    for n in range(150):
        desk.add(f"a{n}")
    desk.tick_after(15)
    desk.add("other", host="elsewhere.example")
    assert desk.tick_after(15) == ["other"]


def test_polls_lost_with_their_process_are_counted_and_due_at_once(desk: Desk) -> None:
    desk.add("a")
    desk.tick_after(15)
    count_lost_polls(desk.context)
    assert desk.context.catalog.counters.totals() == {"a": {"expired": 1}}
    row = desk.context.catalog.cameras.get("a")
    assert row is not None
    assert row.failures == 0
    assert desk.tick_after(0) == ["a"]


def test_renaming_a_camera_does_not_undo_its_backoff(desk: Desk) -> None:
    desk.add("a")
    desk.tick_after(15)
    far = desk.now + timedelta(hours=1)
    end = PollEnd(outcome=Outcome.RATE_LIMITED, at=desk.now, due_at=far, failed=True)
    catalog, store = desk.context.catalog, desk.context.store
    catalog.cameras.finish("a", desk.sent[0].token, end)
    camera = Camera(id="a", url="http://h.example/a.jpg", name="Quai")
    save_camera(catalog, store, camera, desk.now)
    assert desk.tick_after(600) == []
    save_camera(catalog, store, camera.model_copy(update={"every_s": 30.0}), desk.now)
    assert desk.tick_after(30) == ["a"]


@pytest.mark.parametrize(
    ("host", "slots"),
    [
        ("127.0.0.1:8090", 64),
        ("[::1]", 64),
        ("localhost:80", 64),
        ("simulation:8090", 64),
        ("192.168.1.20:8080", 64),
        ("camera.local", 64),
        ("127.evil.example", 3),
        ("93.184.216.34", 3),
        ("city.example", 3),
    ],
)
def test_only_our_own_network_is_not_spared(desk: Desk, host: str, slots: int) -> None:
    for n in range(70):
        desk.add(f"a{n}", host=host)
    assert len(desk.tick_after(15)) == slots
