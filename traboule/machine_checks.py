"""Doctor's checks of the machine: Python, packages, models, clock, the way to a camera host."""

from __future__ import annotations

import importlib
import platform
import sys
from collections.abc import Sequence
from importlib import metadata

from pipeline.errors import PipelineError
from services.detection.models import MODELS, ModelFile, find_model
from services.detection.registry import build_detectors
from services.detection.settings import DetectionSettings
from traboule.check import Check, Patient

OLDEST_PYTHON = (3, 11)
RELEASED_IN = 2026
CLOCK_MAY_DIFFER_S = 60
# Distribution to module: what the command and every stage it embeds import.
PACKAGES = {
    "alembic": "alembic",
    "celery": "celery",
    "defusedxml": "defusedxml",
    "httpx": "httpx",
    "imagehash": "imagehash",
    "jinja2": "jinja2",
    "numpy": "numpy",
    "onnxruntime": "onnxruntime",
    "opencv-python-headless": "cv2",
    "pillow": "PIL",
    "platformdirs": "platformdirs",
    "pydantic": "pydantic",
    "pydantic-settings": "pydantic_settings",
    "pyjwt": "jwt",
    "pyyaml": "yaml",
    "requests": "requests",
    "rich": "rich",
    "sqlalchemy": "sqlalchemy",
    "starlette": "starlette",
    "structlog": "structlog",
    "typer": "typer",
    "uvicorn": "uvicorn",
}
# And what the servers of `docker compose` are reached with.
COMPOSED_PACKAGES = {"minio": "minio", "psycopg": "psycopg", "redis": "redis"}


def check_python(patient: Patient) -> Sequence[Check]:
    what = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    if sys.version_info < OLDEST_PYTHON:
        return [Check("python", "fail", what, "install Python 3.11 or newer")]
    return [Check("python", "ok", what)]


def check_packages(patient: Patient) -> Sequence[Check]:
    there, problems = [], []
    composed = patient.folder is None
    for package, module in (PACKAGES | COMPOSED_PACKAGES if composed else PACKAGES).items():
        try:
            importlib.import_module(module)
            there.append(f"{package} {metadata.version(package)}")
        except (ImportError, metadata.PackageNotFoundError) as error:
            problems.append(f"{package} ({error})")
    if problems:
        extras = "cli,composed" if composed else "cli"
        advice = f"install them: pip install -c constraints.txt '.[{extras}]'"
        return [Check("packages", "fail", f"not importable: {'; '.join(problems)}", advice)]
    return [Check("packages", "ok", ", ".join(there))]


def check_models(patient: Patient) -> Sequence[Check]:
    """Where detection is elsewhere, it has models of its own."""
    if patient.folder is None:
        return []
    settings = DetectionSettings()
    checks = [_check_model(model, settings) for model in MODELS.values()]
    folder = settings.models_dir
    if folder is not None and not folder.is_dir():
        what = f"TRABOULE_MODELS_DIR names {folder}, which is no folder"
        checks.append(Check("models folder", "warn", what, "correct it, or unset it"))
    return checks


def _check_model(model: ModelFile, settings: DetectionSettings) -> Check:
    name = f"model {model.name}"
    try:
        found = find_model(model.name, settings.models_dir, settings.models_cache)
        build_detectors([model.name], settings.models_dir, settings.models_cache)
    except PipelineError as error:
        what, _, advice = str(error).partition(": ")
        return Check(name, "warn", what, advice or "run `traboule models pull`")
    kind = "the official file" if found.official else "another export than the official file"
    return Check(name, "ok", f"{kind}, runs: {found.path} (SHA-256 {found.sha256[:8]}…)")


def check_clock(patient: Patient) -> Sequence[Check]:
    now, contact = patient.now, patient.contact
    advice = "set the clock, and keep it set: images are named by it (timedatectl set-ntp true)"
    if now.year < RELEASED_IN:
        return [Check("clock", "fail", f"it says {now:%Y-%m-%d}, before this release", advice)]
    told = f"{now:%Y-%m-%d %H:%M:%S} UTC"
    if contact.date is None:
        return [Check("clock", "ok", f"{told}; compared with no other")]
    apart_s = (now - contact.date).total_seconds()
    told += f", {abs(apart_s):.0f} s {'after' if apart_s > 0 else 'before'} {contact.host}"
    if abs(apart_s) > CLOCK_MAY_DIFFER_S:
        return [Check("clock", "warn", told, advice)]
    return [Check("clock", "ok", told)]


def check_camera_host(patient: Patient) -> Sequence[Check]:
    contact = patient.contact
    if not contact.problem:
        return [Check("camera host", "ok", f"{contact.host} answers")]
    advice = f"look at the network, or try simulated cameras: {patient.advice.simulate}"
    return [Check("camera host", "warn", contact.problem, advice)]
