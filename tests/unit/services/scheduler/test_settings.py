from __future__ import annotations

import pytest

from services.scheduler.settings import SchedulerSettings


def test_feeds_are_none_unless_the_environment_names_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SCHEDULER_FEEDS", raising=False)
    assert SchedulerSettings().feeds == ()
    monkeypatch.setenv("SCHEDULER_FEEDS", "")
    assert SchedulerSettings().feeds == ()
    monkeypatch.setenv("SCHEDULER_FEEDS", '["grandlyon","simulation"]')
    assert SchedulerSettings().feeds == ("grandlyon", "simulation")
