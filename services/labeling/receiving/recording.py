"""What people said of one labeling task, stored as revisions: the object first, then its row.

A revision's key follows from its content: what is stored again is the same object again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import ValidationError

from pipeline import keys
from pipeline.annotations import Annotation, AnnotationStatus
from pipeline.catalog.tables import AnnotationRow
from pipeline.errors import ObjectMissing
from pipeline.logs import get_logger
from pipeline.records import Detections
from pipeline.storage import put_json
from services.labeling.context import LabelingContext
from services.labeling.receiving.interpretation import ImageFacts, deletion_of, interpret
from services.labeling.studio.protocol import StudioTask

log = get_logger(__name__)


@dataclass(frozen=True)
class Recorded:
    """How many revisions are new, and why nothing of the task is stored, where that is so."""

    revisions: int = 0
    passed_over: str = ""


def record_task(context: LabelingContext, project: str, task: StudioTask) -> Recorded:
    """Store what is new of a task's annotations, and that those we knew are gone."""
    rows = {row.annotation: row for row in context.catalog.annotations.of_task(project, task.id)}
    if not task.annotations and not rows:
        return Recorded()
    facts = _find_facts(context, task.image_id)
    if isinstance(facts, str):
        log.warning("annotations passed over", task=task.id, image=task.image_id, reason=facts)
        return Recorded(passed_over=facts)
    found = [interpret(facts, project, task, raw) for raw in task.annotations]
    new = sum(store_annotation(context, one, rows.get(one.origin.annotation)) for one in found)
    there = {one.origin.annotation for one in found}
    gone = [row for annotation, row in rows.items() if annotation not in there]
    return Recorded(new + record_deletions(context, gone, task.updated_at))


def record_deletions(context: LabelingContext, rows: Sequence[AnnotationRow], at: datetime) -> int:
    """Annotations are gone over there: what they said stays, and a revision says that they are."""
    deleted = AnnotationStatus.DELETED.value
    return sum(_record_deletion(context, row, at) for row in rows if row.status != deleted)


def store_annotation(
    context: LabelingContext, annotation: Annotation, row: AnnotationRow | None
) -> bool:
    """Whether it is new. `row` is the one it may have already."""
    if row is not None and row.revision == annotation.revision:
        return False
    if context.store.exists(keys.tombstone(annotation.image)):
        return False
    text = annotation.model_dump_json(indent=1)
    put_json(context.store, keys.annotation(annotation.image, annotation.revision), text)
    if annotation.problems:
        log.warning(
            "annotation with problems",
            image=annotation.image,
            annotation=annotation.origin.annotation,
            problems=annotation.problems[:5],
        )
    return context.catalog.annotations.record(annotation)


def _record_deletion(context: LabelingContext, row: AnnotationRow, at: datetime) -> bool:
    key = keys.annotation(row.image_id, row.revision)
    try:
        last = Annotation.model_validate_json(context.store.get(key).data)
    except (ObjectMissing, ValidationError) as error:
        log.error("annotation gone, and what it said as well", key=key, reason=str(error)[:200])
        return False
    return store_annotation(context, _find_deletion(context, last) or deletion_of(last, at), row)


def _find_deletion(context: LabelingContext, last: Annotation) -> Annotation | None:
    """The revision that a process stored, and died before it wrote the row."""
    for entry in context.store.list(keys.annotations_folder(last.image)):
        if entry.key <= keys.annotation(last.image, last.revision):
            continue  # their names begin with their time
        later = Annotation.model_validate_json(context.store.get(entry.key).data)
        if later.origin == last.origin and later.status is AnnotationStatus.DELETED:
            return later
    return None


def _find_facts(context: LabelingContext, image: str | None) -> ImageFacts | str:
    """What an interpretation needs to know of the image; or why there is nothing to store it with.

    Its detections say what size was stored; where they are gone, the catalog still knows.
    """
    if image is None or not keys.is_image_id(image):
        return "its task is not one of ours"
    if context.store.exists(keys.tombstone(image)):
        return "its image was erased"
    try:
        found = Detections.model_validate_json(context.store.get(keys.detections(image)).data)
        return ImageFacts(image, found.width, found.height)
    except (ObjectMissing, ValidationError):
        row = context.catalog.images.get(image)
    if row is None or not row.width or not row.height:
        return "its image is not known here"
    return ImageFacts(image, row.width, row.height)
