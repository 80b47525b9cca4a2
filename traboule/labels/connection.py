"""What a data folder remembers of its Label Studio: a file for its owner alone, without the token.

The environment (`LABELING_…`) has a say in whatever the file does not name.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.errors import UserError
from services.labeling.settings import ImageAccess, LabelingSettings, SendPolicy

FOLDER = "labeling"
FILE = "connection.json"
LOOPBACK = "127.0.0.1"
IMAGES_SECRET, WEBHOOK_SECRET, BACKEND_PASSWORD = SECRETS = (
    "images-secret",
    "webhook-secret",
    "backend-password",
)
NOT_CONNECTED = (
    "no Label Studio is connected; connect one: traboule labels connect URL --token-file FILE, "
    "or have one made: traboule labels serve"
)
EMBEDDED_RUN_S = 5.0  # a run that is asked to end waits for no more


class KnownStudio(BaseModel):
    """`images_port`: where we show images, by addresses that stand in labeling tasks for good.
    `is_ours`: `labels serve` runs it, and predictions beside it, at `backend_port` the last time.
    What is None is left to the environment."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str
    token_file: Path
    project: str = Field(default="Traboule", min_length=3)
    images: ImageAccess = ImageAccess.SIGNED
    images_port: int
    backend_port: int | None = None
    is_ours: bool = False
    policy: SendPolicy | None = None
    every_nth: int | None = None
    fraction: float | None = None
    per_camera_and_day: int | None = None


def place_of(data: Path) -> Path:
    return data / FOLDER


def find_known(data: Path) -> KnownStudio | None:
    """UserError where the file is there and cannot be used."""
    path = place_of(data) / FILE
    try:
        return KnownStudio.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except ValidationError:
        raise UserError(
            f"{path} cannot be understood; begin anew: traboule labels disconnect, then connect"
        ) from None


def remember(data: Path, known: KnownStudio) -> None:
    """Whole or not at all."""
    folder = place_of(data)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor, name = tempfile.mkstemp(prefix=f".{FILE}.", dir=folder)  # 0600
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(known.model_dump_json(indent=2, exclude_none=True) + "\n")
        Path(name).replace(folder / FILE)
    except OSError as error:
        raise UserError(f"cannot write in {folder}: {error.strerror}") from error


def forget(data: Path) -> bool:
    """Whether there was something to forget."""
    path = place_of(data) / FILE
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise UserError(f"cannot remove {path}: {error.strerror}") from error
    return True


def find_labeling(data: Path | None) -> LabelingSettings | None:
    """What is connected: as the folder remembers, or the environment says where there is none.

    The port of predictions is left out: whoever does not serve them cannot know who is there now.
    """
    if data is None:
        settings = LabelingSettings()
        return settings if settings.url else None
    known = find_known(data)
    return settings_of(data, known.model_copy(update={"backend_port": None})) if known else None


def settings_of(data: Path, known: KnownStudio) -> LabelingSettings:
    folder, own = place_of(data), f"http://{LOOPBACK}:{known.images_port}"
    named: dict[str, Any] = {
        "policy": known.policy,
        "every_nth": known.every_nth,
        "fraction": known.fraction,
        "per_camera_and_day": known.per_camera_and_day,
    }
    if known.is_ours:  # another may not be allowed to reach this machine
        named["webhook_url"] = f"{own}/webhook"
        named["webhook_secret_file"] = folder / WEBHOOK_SECRET
        if known.backend_port is not None:
            named["backend_url"] = f"http://{LOOPBACK}:{known.backend_port}"
            named["backend_password_file"] = folder / BACKEND_PASSWORD
    return LabelingSettings(
        url=known.url,
        token_file=known.token_file,
        project=known.project,
        images=known.images,
        images_url=own,
        images_secret_file=folder / IMAGES_SECRET,
        api_host=LOOPBACK,
        api_port=known.images_port,
        run_s=EMBEDDED_RUN_S,
        **{name: value for name, value in named.items() if value is not None},
    )
