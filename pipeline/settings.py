"""Where the three shared pieces are: broker, object store, catalog. Read once per process."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from pydantic_settings import BaseSettings, SettingsConfigDict


class PipelineSettings(BaseSettings):
    """`PIPELINE_BROKER_URL`, `PIPELINE_STORE_URL`, `PIPELINE_CATALOG_URL`."""

    model_config = SettingsConfigDict(env_prefix="PIPELINE_", frozen=True)

    broker_url: str
    store_url: str
    catalog_url: str

    @classmethod
    def of_folder(cls, data: Path) -> PipelineSettings:
        """The embedded default: everything below one folder, messages in memory."""
        return cls(
            broker_url="memory://localhost/",
            store_url=(data / "store").as_uri(),
            catalog_url=f"sqlite:///{quote(str(data / 'catalog.sqlite3'))}",
        )
