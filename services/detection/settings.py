"""Detection's settings, from `DETECTION_…` in the environment."""

from __future__ import annotations

from pathlib import Path

import platformdirs
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class DetectionSettings(BaseSettings):
    """`TRABOULE_MODELS_DIR` is a folder that already holds the models; `models_cache` is ours."""

    model_config = SettingsConfigDict(env_prefix="DETECTION_", frozen=True)

    models_dir: Path | None = Field(default=None, validation_alias="TRABOULE_MODELS_DIR")
    models_cache: Path = Path(platformdirs.user_cache_dir("traboule", appauthor=False)) / "models"
    pull_models: bool = False  # those that are missing, at start and until they are there
    deadline_s: float = 25.0  # below the task's own limit, which threads ignore
    threads: int = 2
