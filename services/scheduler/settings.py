"""The scheduler's settings, from `SCHEDULER_…` in the environment."""

from __future__ import annotations

from pydantic_settings import BaseSettings, SettingsConfigDict


class SchedulerSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="SCHEDULER_", frozen=True)

    slots_per_host: int = 3  # polls at once against one host
    slots_on_loopback: int = 64  # this machine need not be spared
    lease_s: float = 45.0  # for waiting, and again for polling; then it is counted as expired
