from __future__ import annotations

from pipeline.vitals import Vitals


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_it_is_alive_from_the_start_and_ready_after_a_heartbeat() -> None:
    vitals = Vitals(Clock())
    assert vitals.pulse_at == 100
    assert not vitals.is_ready
    vitals.touch_as_ready()
    assert vitals.is_ready


def test_oldest_task_in_hand_is_known_until_it_is_put_down() -> None:
    clock = Clock()
    vitals = Vitals(clock)
    assert vitals.oldest_task_at == 0
    vitals.take_in_hand("a")
    clock.now = 110
    vitals.take_in_hand("b")
    assert vitals.oldest_task_at == 100
    vitals.put_down("a")
    assert vitals.oldest_task_at == 110
    assert vitals.pulse_at == 110, "a task that ends is a sign of life"
    vitals.put_down("b")
    vitals.put_down("never taken")
    assert vitals.oldest_task_at == 0


def test_excuse_touches_beat_only_where_there_is_one() -> None:
    clock = Clock()
    vitals = Vitals(clock)
    clock.now = 110
    vitals.excuse()
    assert (vitals.pulse_at, vitals.beat_at) == (110, 0)
    vitals.touch_beat()
    clock.now = 120
    vitals.excuse()
    assert (vitals.pulse_at, vitals.beat_at) == (120, 120)
