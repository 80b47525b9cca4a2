from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.vitals import Vitals
from pipeline.watchdog import Limits, Watchdog, health_file


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Night:
    """A watchdog that looks every second."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.clock = Clock()
        self.vitals = Vitals(self.clock)
        self.watchdog = Watchdog(self.vitals, limits or Limits())

    def watch(self, seconds: int, *, alive: bool = False) -> str | None:
        """What it complains of first."""
        for _ in range(seconds):
            self.clock.now += 1
            if alive:
                self.vitals.touch()
            complaint = self.watchdog.complaint()
            if complaint is not None:
                return complaint
        return None


def test_worker_that_lives_is_left_in_peace() -> None:
    assert Night().watch(600, alive=True) is None


def test_worker_is_given_a_minute_to_show_itself() -> None:
    night = Night()
    assert night.watch(60) is None
    assert night.watch(1) == "heartbeat: 61 s"


def test_hung_task_is_noticed_though_others_end() -> None:
    night = Night()
    night.vitals.take_in_hand("hung")
    assert night.watch(90, alive=True) is None
    assert night.watch(1, alive=True) == "task in hand: 91 s"


def test_beat_is_watched_where_there_is_one() -> None:
    night = Night()
    assert night.watch(100, alive=True) is None
    night.vitals.touch_beat()
    assert night.watch(60, alive=True) is None
    assert night.watch(1, alive=True) == "beat: 61 s"


def test_time_in_which_the_watchdog_was_frozen_does_not_count() -> None:
    night = Night()
    night.vitals.take_in_hand("a")
    night.vitals.touch_beat()
    night.clock.now += 3600
    assert night.watchdog.complaint() is None
    assert night.watch(60) is None
    assert night.watch(1) is not None


def test_slow_machine_is_not_a_frozen_one() -> None:
    night = Night()
    for _ in range(12):
        night.clock.now += 5
        assert night.watchdog.complaint() is None
    night.clock.now += 5
    assert night.watchdog.complaint() is not None


def test_health_file_is_named_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIPELINE_HEALTH_FILE", raising=False)
    assert health_file() is None
    monkeypatch.setenv("PIPELINE_HEALTH_FILE", "/tmp/healthy")
    assert health_file() == Path("/tmp/healthy")
