"""Sets of labels, out to a folder and in from one, on the user's own data."""

from __future__ import annotations

import getpass
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import IO

from pipeline import keys
from pipeline.annotations import Annotation
from pipeline.cadence import utc_now
from pipeline.catalog.labeling.tasks import TaskState
from pipeline.errors import UserError
from services.labeling.context import LabelingContext
from services.labeling.receiving.recording import store_annotation
from services.labeling.sets.exporting import ExportOptions, export
from services.labeling.sets.formats.converting import Import
from services.labeling.sets.formats.import_reports import ImportReport
from services.labeling.sets.formats.matching import StoredImages
from services.labeling.sets.formats.reports import ExportReport
from services.labeling.sets.importing import ImportOptions, import_annotations, import_predictions
from services.labeling.settings import LabelingSettings
from services.labeling.studio.connection import Connected
from services.labeling.studio.protocol import StudioPrediction
from traboule.bars import Advance, progress_bar
from traboule.labels.connection import find_labeling
from traboule.labels.reaching import make_context, reaching
from traboule.workspace import Workspace

MAX_NAME = 64
NOT_SENT = "its image is not in Label Studio: send it first (traboule labels push)"


class Meaning(StrEnum):
    """What labels from elsewhere are taken as."""

    ANNOTATIONS = "annotations"
    PREDICTIONS = "predictions"


@dataclass(frozen=True)
class Chosen:
    """Which labelled images."""

    camera: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def takes(self, image: str) -> bool:
        at = keys.captured_at(image)
        return (
            self.camera in (None, keys.source_of(image))
            and (self.since is None or at >= self.since)
            and (self.until is None or at < self.until)
        )


def export_set(
    workspace: Workspace, target: Path | IO[bytes], chosen: Chosen, options: ExportOptions
) -> ExportReport:
    """UserError where nothing was labelled at all."""
    annotations = workspace.catalog.annotations
    total = sum(chosen.takes(image) for image in annotations.images())
    if not total:
        raise UserError("nothing was labelled there yet; see: traboule labels status")
    images = (image for image in annotations.images() if chosen.takes(image))
    with progress_bar("exporting", total) as advance:
        return export(workspace.store, _counted(images, advance), target, options)


def find_name(source: Path) -> str:
    """A name for an import, from its file's: the same file again replaces what it said before."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", source.absolute().stem).lstrip("._-")
    return name[:MAX_NAME] or "import"


def describe_origin(source: Path, name: str | None, author: str | None) -> Import:
    return Import(name or find_name(source), author or _find_user(), utc_now())


def import_set(workspace: Workspace, source: Path, options: ImportOptions) -> ImportReport:
    """As annotations: UserError where they are not ours to write."""
    if workspace.is_composed and find_labeling(None) is None:
        raise UserError("annotations are labeling's to write here: traboule labels import")
    context = make_context(workspace, LabelingSettings(url=None))
    images = StoredImages(workspace.store)
    with progress_bar("importing", None) as advance:
        return import_annotations(source, images, options, _taking(context, advance))


def import_guesses(workspace: Workspace, source: Path, options: ImportOptions) -> ImportReport:
    """As predictions, to be corrected in Label Studio, of images that were sent there."""
    with (
        reaching(workspace) as (context, connected),
        progress_bar("importing", None) as advance,
    ):
        takes = _Predicting(context, connected, advance)
        report = import_predictions(source, StoredImages(workspace.store), options, takes.take)
    return report


def _counted(images: Iterator[str], advance: Advance) -> Iterator[str]:
    for number, image in enumerate(images, start=1):
        yield image
        advance(number)


def _taking(context: LabelingContext, advance: Advance) -> Callable[[Annotation], bool]:
    done = 0

    def take(annotation: Annotation) -> bool:
        nonlocal done
        done += 1
        advance(done)
        origin = annotation.origin
        row = context.catalog.annotations.get(origin.project, origin.annotation, annotation.image)
        return store_annotation(context, annotation, row)

    return take


class _Predicting:
    def __init__(self, context: LabelingContext, connected: Connected, advance: Advance) -> None:
        self._tasks, self._connected, self._advance = context.catalog.labeling, connected, advance
        self._done = 0

    def take(self, image: str, prediction: StudioPrediction) -> bool | str:
        """False where its task has a prediction by that name already; or why it has no task."""
        self._done += 1
        self._advance(self._done)
        row = self._tasks.get(self._connected.key, image)
        if row is None or row.state != TaskState.SENT or row.task_id is None:
            return NOT_SENT
        studio = self._connected.studio
        task = studio.get_task(row.task_id)
        known = {one.get("model_version") for one in task.predictions} if task else set()
        if prediction.model_version in known:
            return False
        studio.add_prediction(row.task_id, prediction)
        return True


def _find_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user has no name
        return "somebody"
