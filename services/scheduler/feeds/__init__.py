"""Feeds: public lists of cameras. One module each, with `discover(fetcher) -> list[Camera]`."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.fetch import Fetcher
from pipeline.records import Camera
from services.scheduler.feeds import grandlyon

Feed = Callable[[Fetcher], list[Camera]]

FEEDS: dict[str, Feed] = {"grandlyon": grandlyon.discover}
