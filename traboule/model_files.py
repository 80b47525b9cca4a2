"""The detectors' model files as a person sees them: where each is, and fetching it."""

from __future__ import annotations

import sys

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from pipeline.errors import CorruptModel, ModelUnavailable, PipelineError
from services.detection.models import MODELS, FoundModel, ModelFile, find_model, is_official
from services.detection.settings import DetectionSettings


def describe_models() -> list[dict[str, object]]:
    """A record of each model, found or not."""
    settings = DetectionSettings()
    return [_describe(model, settings) for model in MODELS.values()]


def pull_one(model: ModelFile) -> None:
    """Fetch a model into the cache, unless it is there. PipelineError when it cannot be had."""
    settings = DetectionSettings()
    path = settings.models_cache / model.filename
    if is_official(model, path):
        typer.echo(f"{model.name} is there already, verified: {path}")
    else:
        _download(model, settings)
        typer.echo(f"{model.name} ({model.licence}), from {model.source}")
        typer.echo(f"  to {path}")
        typer.echo(f"  SHA-256 verified: {model.sha256}")
    _mention_folder(model, settings)


def _download(model: ModelFile, settings: DetectionSettings) -> None:
    from services.detection.download import pull_model

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    console = Console(file=sys.stderr)
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task(model.filename, total=model.bytes)
        pull_model(
            model,
            settings.models_cache,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )


def _mention_folder(model: ModelFile, settings: DetectionSettings) -> None:
    """A file in the user's own folder goes before the cache."""
    try:
        found = find_model(model.name, settings.models_dir, settings.models_cache)
    except PipelineError:
        return
    if found.path.parent != settings.models_cache:
        typer.echo(f"  but TRABOULE_MODELS_DIR goes first: {found.path} is used")


def _describe(model: ModelFile, settings: DetectionSettings) -> dict[str, object]:
    found: FoundModel | None = None
    reason = ""
    try:
        found = find_model(model.name, settings.models_dir, settings.models_cache)
        state = "official" if found.official else "own-export"
    except ModelUnavailable as error:
        state, reason = "missing", str(error)
    except CorruptModel as error:
        state, reason = "corrupt", str(error)
    return {
        "id": model.name,
        "file": model.filename if found is None else found.path.name,
        "state": state,
        "reason": reason,
        "path": str(found.path) if found else None,
        "sha256": found.sha256 if found else None,
        "official_sha256": model.sha256,
        "bytes": len(found.data) if found else None,
        "licence": model.licence,
        "source": model.source,
    }
