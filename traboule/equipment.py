"""The models a run has: found, or pulled where that takes seconds; and what it uses instead."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from pipeline.errors import CorruptModel, ModelUnavailable, PipelineError
from pipeline.logs import get_logger
from services.detection.download import pull_model
from services.detection.models import MODELS, ModelFile, find_model
from services.detection.settings import DetectionSettings

TRY_FOR_S = 15.0  # until it is known whether the network allows it
PULL_FOR_S = 120.0

log = get_logger(__name__)


@dataclass(frozen=True)
class Equipment:
    """The names of the models that are there, and of those that could not be had."""

    present: tuple[str, ...]
    missing: tuple[str, ...] = ()

    @property
    def detectors(self) -> tuple[str, ...]:
        """For cameras whose policy does not rest on a face detector."""
        faces = "yunet" if "yunet" in self.present else "haar"
        objects = ("yolox-nano",) if "yolox-nano" in self.present else ()
        return (faces, *objects, "moving-object")

    def describe(self) -> str:
        if not self.missing:
            return f"Models: {' and '.join(self.present)}."
        return (
            f"Models: {' and '.join(self.missing)} cannot be downloaded now. Simulated cameras use "
            f"{' and '.join(self.detectors)} instead; frames of real cameras wait until "
            "`traboule models pull` has succeeded."
        )


def equip(settings: DetectionSettings, console: Console) -> Equipment:
    """Find every model, or pull it; where that fails, do without."""
    present: list[str] = []
    missing: list[str] = []
    patience_s = TRY_FOR_S
    for model in MODELS.values():
        if _is_there(model, settings):
            present.append(model.name)
        elif not missing and _pull(model, settings, console, patience_s):
            present.append(model.name)
            patience_s = PULL_FOR_S
        else:
            missing.append(model.name)
    return Equipment(tuple(present), tuple(missing))


def _is_there(model: ModelFile, settings: DetectionSettings) -> bool:
    try:
        find_model(model.name, settings.models_dir, settings.models_cache)
    except (ModelUnavailable, CorruptModel) as error:
        log.info("model not usable", model=model.name, reason=str(error))
        return False
    return True


def _pull(
    model: ModelFile, settings: DetectionSettings, console: Console, deadline_s: float
) -> bool:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    hidden = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden) as bar:
        task = bar.add_task(f"downloading {model.name}", total=model.bytes)
        try:
            pull_model(
                model,
                settings.models_cache,
                progress=lambda done, total: bar.update(task, completed=done, total=total),
                deadline_s=deadline_s,
            )
        except PipelineError as error:
            log.warning("model not pulled", model=model.name, reason=str(error))
            return False
    return True
