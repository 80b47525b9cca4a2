from __future__ import annotations

import pytest

from pipeline.errors import FetchError
from pipeline.records import Outcome
from services.scheduler.fetching import make_fetcher
from services.scheduler.settings import SchedulerSettings
from services.simulation.city import City
from services.simulation.misbehaviour import Misbehaviour, Pace
from services.simulation.server import serve


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        (Misbehaviour.STALLED, Outcome.TIMED_OUT),
        (Misbehaviour.DRIPPED_HEADERS, Outcome.TIMED_OUT),
        (Misbehaviour.HUGE_BODY, Outcome.TOO_LARGE),
    ],
)
def test_feed_is_bounded_in_time_and_size(kind: Misbehaviour, outcome: Outcome) -> None:
    fetcher = make_fetcher(SchedulerSettings(deadline_s=0.5, max_bytes=10_000))
    with serve(City(1), pace=Pace(slow_s=5, drip_s=0.05, patience_s=5)) as server:
        server.misbehave("sim-1", kind)
        with pytest.raises(FetchError) as caught:
            fetcher.fetch(server.camera_url("sim-1"))
    assert caught.value.outcome is outcome
