"""Labeling's settings, from `LABELING_…` in the environment."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from pipeline.errors import UserError


class SendPolicy(StrEnum):
    """Which of the images that were detected are sent by themselves."""

    ALL = "all"
    NTH = "nth"
    RANDOM = "random"
    UNCERTAIN = "uncertain"


class ImageAccess(StrEnum):
    """How Label Studio comes by an image: it proxies the object store; the browser fetches it from
    us by a signed address; or it is given a copy."""

    S3 = "s3"
    SIGNED = "signed"
    UPLOAD = "upload"


class LabelingSettings(BaseSettings):
    """Without `url` nothing is connected, and the service has nothing to do.

    Secrets are in files, read each time they are used: a changed one needs no restart.
    """

    model_config = SettingsConfigDict(env_prefix="LABELING_", frozen=True, env_ignore_empty=True)

    url: str | None = None  # of Label Studio, as this service reaches it
    token_file: Path | None = None
    project: str = Field(default="Traboule", min_length=3)  # its title
    create_project: bool = True  # where there never was one; one deleted by hand stays deleted

    policy: SendPolicy = SendPolicy.ALL
    every_nth: int = Field(default=10, ge=1)
    fraction: float = Field(default=0.1, ge=0, le=1)  # of the images, by the policy `random`
    score_band: tuple[float, float] = (0.3, 0.6)  # where a model's word is worth little
    per_camera_and_day: int | None = Field(default=50, ge=0)  # sent by themselves; None: any

    images: ImageAccess = ImageAccess.SIGNED
    images_url: str = "http://127.0.0.1:8300"  # of our API, as a browser reaches it
    images_secret_file: Path | None = None
    s3_bucket: str = "images"
    s3_endpoint: str | None = None  # of the object store, as Label Studio reaches it
    s3_access_key: str = "label-studio"
    s3_secret_file: Path | None = None
    s3_region: str = "us-east-1"

    webhook_url: str | None = None  # of our API's /webhook, as Label Studio reaches it
    webhook_secret_file: Path | None = None
    backend_url: str | None = None  # of the ML backend, as Label Studio reaches it
    backend_user: str = "label-studio"
    backend_password_file: Path | None = None

    api_host: str = "127.0.0.1"
    api_port: int = 8300
    run_s: float = 20.0  # no new step of a task begins later: well below a task's own limit
    compare_every_s: float = 600.0

    @field_validator("url", "images_url", "webhook_url", "backend_url")
    @classmethod
    def _without_slash(cls, url: str | None) -> str | None:
        return url.rstrip("/") if url else None

    @field_validator("score_band")
    @classmethod
    def _in_order(cls, band: tuple[float, float]) -> tuple[float, float]:
        if not 0 <= band[0] < band[1] <= 1:
            raise ValueError("two scores from 0 to 1, the lower first")
        return band


def read_secret(file: Path | None, what: str) -> str:
    """UserError, naming the file and never what is in it, where it cannot be used."""
    if file is None:
        raise UserError(f"no file is named that holds {what}")
    try:
        secret = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text"
        raise UserError(f"cannot read {what} from {file}: {reason}") from None
    if not secret:
        raise UserError(f"{file} is empty: it should hold {what}")
    return secret
