"""The ML backend's settings, from `DETECTION_BACKEND_…`; its models' are detection's."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class BackendSettings(BaseSettings):
    """The password is read from its file at each request: a changed one needs no restart, and
    without one nobody is let in.

    `deadline_s` is counted from a request's first byte. Label Studio waits for 100 s; what is in
    hand at the deadline may take `fetch_s` more.
    """

    model_config = SettingsConfigDict(
        env_prefix="DETECTION_BACKEND_", frozen=True, env_ignore_empty=True
    )

    host: str = "127.0.0.1"
    port: int = 8301
    user: str = "label-studio"
    password_file: Path | None = None
    label_studio_url: str | None = None  # as we reach it, where that differs from a browser's way

    detectors: tuple[str, ...] = ("yolox-nano",)
    face_detectors: tuple[str, ...] = ("yunet",)  # only where the interface has the label face

    max_tasks: int = Field(default=5000, ge=1)  # looked at in one request
    deadline_s: float = Field(default=75.0, gt=0, le=85)
    fetch_s: float = Field(default=10.0, gt=0, le=10)
    max_bytes: int = 20 * 2**20  # of an image that is fetched
    user_agent: str = "Traboule/0.1 (predictions for Label Studio)"

    @field_validator("label_studio_url")
    @classmethod
    def _without_slash(cls, url: str | None) -> str | None:
        return url.rstrip("/") if url else None
