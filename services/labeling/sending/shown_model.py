"""Whose predictions a person is shown: Label Studio's labeling stream shows those of one model.

Left alone, it takes the last one of the first batch, a face model's perhaps, or our ML backend, by
which nothing is shown while that is away. A model that a person chose there stays.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from pipeline.logs import get_logger
from services.labeling.context import LabelingContext
from services.labeling.studio.connection import Connected
from services.labeling.studio.failures import ProjectMissing, StudioRefused
from services.labeling.studio.project import BACKEND_TITLE
from services.labeling.studio.protocol import NewStudioTask

log = get_logger(__name__)


def find_object_model(tasks: Iterable[NewStudioTask]) -> str:
    """The version that found the most things other than faces; empty where none found any."""
    found: Counter[str] = Counter()
    for task in tasks:
        for prediction in task.predictions:
            labels = (region["value"]["rectanglelabels"] for region in prediction.result)
            found[prediction.model_version] += sum(label != ["face"] for label in labels)
    return max(found, key=lambda version: found[version]) if found.total() else ""


class ShownModel:
    """begin() before tasks are imported, end() after: Label Studio takes no version without
    predictions, and with the first ones it sets one itself. Asked once for each version."""

    def __init__(self, context: LabelingContext, connected: Connected) -> None:
        self._settled = context.progress.shown_models
        self._studio, self._project = connected.studio, connected.project
        self._wanted: str | None = None  # None: what is shown stays

    def begin(self, tasks: Iterable[NewStudioTask]) -> None:
        self._wanted = None
        version, key = find_object_model(tasks), self._project.key
        if key in self._settled and version in ("", self._settled[key]):
            return
        shown = self._studio.get_project(self._project.id).model_version
        if shown == "" or (version not in ("", shown) and _may_replace(shown, version)):
            self._wanted = version
        elif version:
            self._settled[key] = version

    def end(self) -> None:
        """What is refused is told, and no more: the tasks are there."""
        if self._wanted is None:
            return
        try:
            self._studio.set_model_version(self._project.id, self._wanted)
        except ProjectMissing:
            raise
        except StudioRefused as error:
            log.warning("other predictions are shown", wanted=self._wanted, reason=str(error))
        if self._wanted:
            self._settled[self._project.key] = self._wanted
        self._wanted = None


def _may_replace(shown: str, version: str) -> bool:
    """Nobody chose what is shown, or it is another release of the same model."""
    return shown == BACKEND_TITLE or shown.partition(" ")[0] == version.partition(" ")[0]
