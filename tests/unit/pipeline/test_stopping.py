from __future__ import annotations

import os
import signal

import pytest

from pipeline.stopping import stop_asked

BOTH = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])


@BOTH
def test_signals_ask_to_stop_and_mean_what_they_did_afterwards(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with stop_asked() as stop:
        assert not stop.is_set()
        os.kill(os.getpid(), number)
        assert stop.wait(60)
    assert signal.getsignal(number) is before


@BOTH
def test_signal_may_come_while_the_main_thread_has_the_events_lock(number: signal.Signals) -> None:
    with stop_asked() as stop:
        with stop._cond:  # type: ignore[attr-defined] # as it has for a moment in every wait
            os.kill(os.getpid(), number)
        assert stop.wait(60)
