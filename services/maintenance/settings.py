"""Maintenance's settings, from `MAINTENANCE_…` in the environment."""

from __future__ import annotations

from pydantic_settings import BaseSettings, SettingsConfigDict


class MaintenanceSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="MAINTENANCE_", frozen=True)

    raw_lifetime_h: float = 24.0  # an unblurred frame is gone after that, detected or not
    dropped_per_camera: int = 50
    sweep_s: float = 25.0  # below a task's own limit; the heartbeat waits meanwhile
    storing_grace_s: float = 120.0  # a frame half-stored for longer was left by a dead process
    deletes_repeated_s: float = 3600.0
    drops_listed_days: float = 30.0
    max_in_flight: int = 500  # announced images at once
