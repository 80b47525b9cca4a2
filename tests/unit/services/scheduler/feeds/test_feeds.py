from __future__ import annotations

import pytest

from pipeline.errors import UserError
from pipeline.fetch import Fetcher, FetchLimits
from services.scheduler.feeds import FEEDS, OPTIONAL, find_feed
from services.scheduler.settings import SchedulerSettings
from services.simulation.city import City
from services.simulation.server import serve


def test_unknown_feed_is_told_which_there_are() -> None:
    with pytest.raises(UserError, match="no feed 'paris'; there are: grandlyon, simulation"):
        find_feed("paris", SchedulerSettings())


def test_simulated_city_is_asked_where_the_settings_say() -> None:
    with serve(City(1)) as server:
        settings = SchedulerSettings(simulation_url=server.url)
        [camera] = find_feed("simulation", settings)(Fetcher(FetchLimits(), "tests"))
    assert camera.url == server.camera_url("sim-1")


def test_optional_feeds_are_feeds() -> None:
    assert set(FEEDS) > OPTIONAL
