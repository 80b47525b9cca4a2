"""The way out to feeds, bounded and named as the scheduler's settings say."""

from __future__ import annotations

from pipeline.fetch import Fetcher, FetchLimits
from services.scheduler.settings import SchedulerSettings


def make_fetcher(settings: SchedulerSettings) -> Fetcher:
    limits = FetchLimits(deadline_s=settings.deadline_s, max_bytes=settings.max_bytes)
    return Fetcher(limits, settings.user_agent)
