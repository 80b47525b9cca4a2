"""Feeds: lists of cameras. One module each, with `discover(fetcher) -> list[Camera]`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from pipeline.errors import UserError
from pipeline.fetch import Fetcher
from pipeline.records import Camera
from services.scheduler.feeds import grandlyon, simulation
from services.scheduler.settings import SchedulerSettings

Feed = Callable[[Fetcher], list[Camera]]

FEEDS: dict[str, Feed] = {"grandlyon": grandlyon.discover, "simulation": simulation.discover}
# On our own network, and there only where a person wants it: not to be there is no fault.
OPTIONAL = frozenset({"simulation"})


def find_feed(name: str, settings: SchedulerSettings) -> Feed:
    """The feed by that name, asked where the settings say. UserError for one there is not."""
    if name not in FEEDS:
        raise UserError(f"no feed {name!r}; there are: {', '.join(sorted(FEEDS))}")
    feed = FEEDS[name]
    if feed is simulation.discover:
        return partial(
            simulation.discover,
            url=settings.simulation_url,
            detectors=settings.simulation_detectors,
        )
    return feed
