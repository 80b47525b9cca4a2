"""The simulated city's settings, from `SIMULATION_…` in the environment."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class SimulationSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="SIMULATION_", frozen=True)

    host: str = "127.0.0.1"
    port: int = Field(default=8090, ge=0, le=65_535)  # 0: any free one
    cameras: int = Field(default=4, ge=0)
    refresh_s: float = Field(default=5.0, gt=0)
    seed: int = Field(default=0, ge=0)
    folders: tuple[Path, ...] = ()  # each a camera; as JSON: ["/pictures/quay"]
