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
    ("kind", "deadline_s", "outcome"),
    [
        (Misbehaviour.STALLED, 0.5, Outcome.TIMED_OUT),
        (Misbehaviour.DRIPPED_HEADERS, 0.5, Outcome.TIMED_OUT),
        (Misbehaviour.HUGE_BODY, 60, Outcome.TOO_LARGE),
    ],
)
def test_feed_is_bounded_in_time_and_size(
    kind: Misbehaviour, deadline_s: float, outcome: Outcome
) -> None:
    fetcher = make_fetcher(SchedulerSettings(deadline_s=deadline_s, max_bytes=10_000))
    with serve(City(1), pace=Pace(drip_s=0.05)) as server:
        server.misbehave("sim-1", kind)
        with pytest.raises(FetchError) as caught:
            fetcher.fetch(server.camera_url("sim-1"))
    assert caught.value.outcome is outcome
