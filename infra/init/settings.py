"""Init's settings, from `INIT_…` in the environment. Passwords come from the secrets' folder."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class InitSettings(BaseSettings):
    """The addresses name init's own user on each server: the two servers' owner `traboule`."""

    model_config = SettingsConfigDict(env_prefix="INIT_", frozen=True)

    secrets_dir: Path = Path("/secrets")
    secrets_gid: int = 2000  # the group of whoever may read them
    broker_url: str = Field("redis://init@broker:6379/0", repr=False)
    store_url: str = Field("s3+http://traboule@object-store:9000", repr=False)
    catalog_url: str = Field("postgresql+psycopg://traboule@catalog:5432/traboule", repr=False)
    manage_object_store_users: bool = True  # False: its keys are made elsewhere
    wait_s: float = 300.0  # for servers that are still starting
