from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.errors import BrokerError
from pipeline.messages import FollowChanges, Message
from services.labeling.webhook import Doorbell, is_known


@pytest.fixture
def timers(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], None]]:
    """What waits for its time, which comes when the test says so."""
    started: list[Callable[[], None]] = []

    class Timer:
        def __init__(self, within_s: float, action: Callable[[], None]) -> None:
            self.start = partial(started.append, action)

    fake = SimpleNamespace(Lock=threading.Lock, Timer=Timer)
    monkeypatch.setattr("services.labeling.webhook.threading", fake)
    return started


def test_however_often_it_is_rung_one_hint_is_given_and_after_the_last_ring(
    timers: list[Callable[[], None]],
) -> None:
    given: list[Message] = []
    bell = Doorbell(given.append)
    for _ in range(50):
        bell.ring()
    assert given == [], "the change may not be there yet"
    [answer] = timers
    answer()
    assert given == [FollowChanges()]
    bell.ring()
    timers[1]()
    assert len(given) == 2


def test_broker_that_is_away_does_not_silence_the_bell(timers: list[Callable[[], None]]) -> None:
    tries: list[Message] = []

    def fail(message: Message) -> None:
        tries.append(message)
        raise BrokerError("the broker did not take FollowChanges")

    bell = Doorbell(fail)
    for number in range(2):
        bell.ring()
        timers[number]()
    assert len(tries) == 2


@pytest.mark.parametrize(
    ("given", "known"), [("knock knock", True), ("knock", False), ("", False), ("klopf ü", False)]
)
def test_only_who_has_the_secret_is_known(tmp_path: Path, given: str, known: bool) -> None:
    file = tmp_path / "secret"
    file.write_text("knock knock\n")
    assert is_known(given, file) == known


def test_nobody_is_known_without_a_secret(tmp_path: Path) -> None:
    assert not is_known("", None)
    assert not is_known("", tmp_path / "missing")
    (tmp_path / "empty").write_text("")
    assert not is_known("", tmp_path / "empty")


def test_new_secret_needs_no_restart(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("one")
    assert is_known("one", file)
    file.write_text("two")
    assert not is_known("one", file)
    assert is_known("two", file)
