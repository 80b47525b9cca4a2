"""Models pulled without a command: for a while at start, then beside the work until all are there.

Processes may share a cache: a file takes its place whole, and is the official one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from pipeline.errors import CorruptModel, ModelUnavailable, PipelineError, TransientError
from pipeline.logs import get_logger
from services.detection.download import DEADLINE_S, pull_model
from services.detection.models import MODELS, ModelFile, find_model
from services.detection.settings import DetectionSettings

log = get_logger(__name__)


@dataclass(frozen=True)
class Patience:
    """`at_start_s` is for all models together; pauses double from the first to the longest."""

    at_start_s: float = 15.0
    first_pause_s: float = 15.0
    longest_pause_s: float = 600.0
    pull_s: float = DEADLINE_S


def supply_models(
    settings: DetectionSettings, on_arrival: Callable[[], None], patience: Patience | None = None
) -> threading.Thread | None:
    """Pull what is missing; where that is not all at once, a thread goes on: that one.

    `on_arrival` is called when models have come, whoever pulled them, until it raises no more.
    """
    patience = patience or Patience()
    supply = _Supply(settings, on_arrival)
    if supply.go_on(patience.at_start_s):
        return None
    wanted = (supply, patience)
    thread = threading.Thread(target=_go_on, args=wanted, name="model-supply", daemon=True)
    thread.start()
    return thread


def _go_on(supply: _Supply, patience: Patience) -> None:
    pause_s = patience.first_pause_s
    while True:
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, patience.longest_pause_s)
        try:
            if supply.go_on(patience.pull_s):
                return
        except Exception:
            log.exception("models not supplied")


class _Supply:
    """Models that are missing, and the news of those that are not any more."""

    def __init__(self, settings: DetectionSettings, on_arrival: Callable[[], None]) -> None:
        self._settings = settings
        self._on_arrival = on_arrival
        self._missing: int | None = None  # how many, as far as anybody was told

    def go_on(self, within_s: float) -> bool:
        """Whether every model is there now, and that was told."""
        ends_at = time.monotonic() + within_s
        before = _find_missing(self._settings)
        if self._missing is None:
            self._missing = len(before)
        for model in before:
            left_s = ends_at - time.monotonic()
            if left_s > 0:
                _pull(model, self._settings, left_s)
        missing = len(_find_missing(self._settings))
        if missing < self._missing:
            try:
                self._on_arrival()
            except TransientError as error:
                log.warning("arrival of a model not told yet", reason=str(error))
                return False
        self._missing = missing
        return not missing


def _find_missing(settings: DetectionSettings) -> list[ModelFile]:
    return [model for model in MODELS.values() if not _is_there(model, settings)]


def _is_there(model: ModelFile, settings: DetectionSettings) -> bool:
    try:
        find_model(model.name, settings.models_dir, settings.models_cache)
    except (ModelUnavailable, CorruptModel):
        return False
    return True


def _pull(model: ModelFile, settings: DetectionSettings, within_s: float) -> None:
    try:
        pull_model(
            model, settings.models_cache, progress=lambda done, total: None, deadline_s=within_s
        )
    except PipelineError as error:
        log.warning("model not pulled", model=model.name, reason=str(error))
    else:
        log.info("model pulled", model=model.name, sha256=model.sha256)
