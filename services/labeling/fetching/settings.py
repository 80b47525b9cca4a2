"""Settings of fetching, from `FETCH_…` in the environment."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class FetchSettings(BaseSettings):
    """The token is read from its file each time: a new one needs no restart."""

    model_config = SettingsConfigDict(
        env_prefix="FETCH_", frozen=True, env_ignore_empty=True, hide_input_in_errors=True
    )

    url: str | None = None
    project: int | None = Field(default=None, ge=1)  # its number there
    token_file: Path | None = None
    into: Path = Path("/fetched")
    every_s: float = Field(default=3600.0, gt=0)
    images_per_s: float = Field(default=5.0, gt=0)
    # Addresses of servers in our own network that images may come from, beside Label Studio's own.
    image_servers: tuple[str, ...] = ()
