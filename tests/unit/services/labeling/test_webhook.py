from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import BrokerError
from pipeline.messages import FollowChanges, Message
from services.labeling.webhook import Doorbell, is_known


def wait_for(condition: Callable[[], bool]) -> None:
    ends_at = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < ends_at, "did not happen in time"
        time.sleep(0.005)


def test_however_often_it_is_rung_one_hint_is_given_and_after_the_last_ring() -> None:
    given: list[tuple[Message, float]] = []
    bell = Doorbell(lambda message: given.append((message, time.monotonic())), within_s=0.1)
    for _ in range(50):
        bell.ring()
    rung_at = time.monotonic()
    assert given == [], "the change may not be there yet"
    wait_for(lambda: bool(given))
    time.sleep(0.15)
    [(message, at)] = given
    assert message == FollowChanges()
    assert at > rung_at
    bell.ring()
    wait_for(lambda: len(given) == 2)


def test_broker_that_is_away_does_not_silence_the_bell() -> None:
    tries: list[Message] = []

    def fail(message: Message) -> None:
        tries.append(message)
        raise BrokerError("the broker did not take FollowChanges")

    bell = Doorbell(fail, within_s=0.01)
    bell.ring()
    wait_for(lambda: len(tries) == 1)
    bell.ring()
    wait_for(lambda: len(tries) == 2)


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
