"""The way out to cameras and feeds, bounded and named as capture's settings say."""

from __future__ import annotations

from pipeline.fetch import Fetcher, FetchLimits
from services.capture.settings import CaptureSettings


def make_fetcher(settings: CaptureSettings, deadline_s: float | None = None) -> Fetcher:
    """`deadline_s` is for whoever has less patience than a poll."""
    limits = FetchLimits(
        deadline_s=settings.deadline_s if deadline_s is None else deadline_s,
        max_bytes=settings.max_bytes,
    )
    return Fetcher(limits, settings.user_agent)
