"""What people said of one labeling task, stored as revisions: the object first, then its row.

A revision's key follows from its content: what is stored again is the same object again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import ValidationError

from pipeline import keys
from pipeline.annotations import Annotation, AnnotationStatus
from pipeline.catalog.tables import AnnotationRow
from pipeline.errors import ObjectMissing
from pipeline.logs import get_logger
from pipeline.records import Detections
from pipeline.storage import put_json
from services.labeling.context import LabelingContext
from services.labeling.receiving.interpretation import (
    ImageFacts,
    date_later,
    deletion_of,
    interpret,
    say_the_same,
)
from services.labeling.studio.protocol import StudioTask

NOT_OURS = "not of our images"
ERASED = "of erased images"
UNKNOWN = "of images that are not known here"
UNFORESEEN = "that could not be read: see the log"
# Label Studio changes some things of an annotation and leaves its time as it was; ours then counts
# on by microseconds, while a person takes longer between two changes.
ONE_TIME = timedelta(milliseconds=1)

log = get_logger(__name__)


@dataclass(frozen=True)
class Recorded:
    """How many revisions are new, and why nothing of the task is stored, where that is so: in words
    that many tasks share."""

    revisions: int = 0
    passed_over: str = ""


def record_task(context: LabelingContext, project: str, task: StudioTask) -> Recorded:
    """Store what is new of a task's annotations, and that those we knew are gone.

    One task that nobody foresaw must not stop all the others.
    """
    try:
        return _record_task(context, project, task)
    except (ValueError, TypeError, LookupError, ArithmeticError):
        log.exception("labeling task not stored", task=task.id, image=task.image_id)
        return Recorded(passed_over=UNFORESEEN)


def _record_task(context: LabelingContext, project: str, task: StudioTask) -> Recorded:
    # A number that now is of another image's task says nothing of what was said of the former.
    known = context.catalog.annotations.of_task(project, task.id)
    rows = {row.annotation: row for row in known if row.image_id == task.image_id}
    if not task.annotations and not rows:
        return Recorded()
    facts = _find_facts(context, task.image_id)
    if isinstance(facts, str):
        log.warning("annotations passed over", task=task.id, image=task.image_id, reason=facts)
        return Recorded(passed_over=facts)
    found = [interpret(facts, project, task, raw) for raw in task.annotations]
    new = sum(_store_found(context, one, rows.get(one.origin.annotation)) for one in found)
    there = {one.origin.annotation for one in found}
    gone = [row for annotation, row in rows.items() if annotation not in there]
    return Recorded(new + record_deletions(context, gone, task.updated_at))


def record_deletions(context: LabelingContext, rows: Sequence[AnnotationRow], at: datetime) -> int:
    """Annotations are gone over there: what they said stays, and a revision says that they are."""
    deleted = AnnotationStatus.DELETED.value
    return sum(_record_deletion(context, row, at) for row in rows if row.status != deleted)


def _store_found(context: LabelingContext, found: Annotation, row: AnnotationRow | None) -> bool:
    """Whether it is new. `found` is what stands there now: what it says is the last word even where
    its time is not the latest, as when it is there again, or when a star was taken away."""
    if row is not None and found.updated_at <= row.updated_at:
        if say_the_same(found.revision, row.revision):
            return False
        is_back = row.status == AnnotationStatus.DELETED.value
        if is_back or row.updated_at - found.updated_at < ONE_TIME:
            found = date_later(found, row.updated_at + timedelta(microseconds=1))
    return store_annotation(context, found, row)


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
        try:
            later = Annotation.model_validate_json(context.store.get(entry.key).data)
        except (ObjectMissing, ValidationError) as error:
            log.error("broken annotation", key=entry.key, reason=str(error)[:200])
            continue
        if later.origin == last.origin and later.status is AnnotationStatus.DELETED:
            return later
    return None


def _find_facts(context: LabelingContext, image: str | None) -> ImageFacts | str:
    """What an interpretation needs to know of the image; or why there is nothing to store it with.

    Its detections say what size was stored; where they are gone, the catalog still knows.
    """
    if image is None or not keys.is_image_id(image):
        return NOT_OURS
    if context.store.exists(keys.tombstone(image)):
        return ERASED
    try:
        found = Detections.model_validate_json(context.store.get(keys.detections(image)).data)
        return ImageFacts(image, found.width, found.height)
    except (ObjectMissing, ValidationError):
        row = context.catalog.images.get(image)
    if row is None or not row.width or not row.height:
        return UNKNOWN
    return ImageFacts(image, row.width, row.height)
