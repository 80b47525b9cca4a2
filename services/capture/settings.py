"""Capture's settings, from `CAPTURE_…` in the environment."""

from __future__ import annotations

from pydantic_settings import BaseSettings, SettingsConfigDict


class CaptureSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="CAPTURE_", frozen=True)

    user_agent: str = "Traboule/0.1 (camera datasets; polls at the feed's own pace)"
    deadline_s: float = 15.0
    max_bytes: int = 20 * 1024 * 1024
    max_pixels: int = 40_000_000
    min_free_bytes: int = 500_000_000  # below this much room, nothing is captured
    threads: int = 16
