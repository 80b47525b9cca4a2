"""How labeling stands: what a person who asks is told beyond plain counts."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select

from pipeline.annotations import USABLE, AnnotationStatus
from pipeline.catalog.engine import Transactions
from pipeline.catalog.labeling.states import TaskState
from pipeline.catalog.tables import AnnotationRow, LabelingTaskRow


@dataclass(frozen=True)
class Labelled:
    """Images that people labelled or found empty; `unusable`: those of which no set can be made."""

    usable: int
    unusable: int


def count_held_back(transactions: Transactions, project: str, per_source_and_day: int) -> int:
    """Images that wait because as many of their source and day were sent as may be."""
    row = LabelingTaskRow
    taken = func.count().filter((row.state == TaskState.SENT) | row.claim_token.is_not(None))
    waiting = func.count().filter(
        row.state == TaskState.WAITING, row.claim_token.is_(None), row.asked.is_(False)
    )
    query = (
        select(waiting, taken)
        .where(row.project == project, row.state.in_([TaskState.WAITING, TaskState.SENT]))
        .group_by(row.source, row.day)
    )
    with transactions.reading() as session:
        return sum(
            max(0, waits - max(0, per_source_and_day - sent))
            for waits, sent in session.execute(query)
        )


def list_erased(
    transactions: Transactions, image_id: str | None = None
) -> Sequence[tuple[str, str, int | None]]:
    """Project, image and labeling task of what is to be deleted in a Label Studio, as its image was
    here; of one image or all."""
    row = LabelingTaskRow
    query = select(row.project, row.image_id, row.task_id).where(row.state == TaskState.ERASED)
    if image_id is not None:
        query = query.where(row.image_id == image_id)
    with transactions.reading() as session:
        found = session.execute(query.order_by(row.project, row.task_id, row.image_id))
        return [(project, image, task) for project, image, task in found]


def count_labelled(transactions: Transactions, classes: Collection[str]) -> Labelled:
    """An annotation can be used where one of its labels is among `classes`, or it says that
    nothing is there."""
    row = AnnotationRow
    query = select(row.image_id, row.status, row.labels).where(
        row.status.in_([status.value for status in USABLE])
    )
    images, usable = set[str](), set[str]()
    with transactions.reading() as session:
        for image, status, labels in session.execute(query).yield_per(1000):
            images.add(image)
            if status == AnnotationStatus.NEGATIVE or not labels.keys().isdisjoint(classes):
                usable.add(image)
    return Labelled(len(usable), len(images) - len(usable))
