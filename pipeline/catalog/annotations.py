"""Annotations: the newest revision of what each person said of each image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, delete, func, inspect, select, tuple_
from sqlalchemy.orm import Session

from pipeline.annotations import OUTLINED, USABLE, Annotation, AnnotationStatus
from pipeline.catalog.engine import Transactions, change, insert_into
from pipeline.catalog.tables import AnnotationRow

_PAGE = 1000


class Annotations:
    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def record(self, annotation: Annotation) -> bool:
        """Whether the row now shows this revision, and did not show it or a newer one before."""
        with self._transactions.writing() as session:
            return _record(session, annotation)

    def get(self, project: str, annotation: str, image_id: str) -> AnnotationRow | None:
        with self._transactions.reading() as session:
            return session.get(AnnotationRow, (project, annotation, image_id))

    def of_task(self, project: str, task_id: int) -> Sequence[AnnotationRow]:
        """The earliest changed first."""
        return self._search(AnnotationRow.project == project, AnnotationRow.task_id == task_id)

    def of_image(self, image_id: str) -> Sequence[AnnotationRow]:
        """In all projects; the earliest changed first."""
        return self._search(AnnotationRow.image_id == image_id)

    def images(
        self, project: str | None = None, statuses: Collection[AnnotationStatus] | None = None
    ) -> Iterator[str]:
        """Ids of images with a row in that project, or any, whose status is one of these, or any;
        in order, read in pages."""
        where = _of_project(project)
        if statuses is not None:
            where = (*where, AnnotationRow.status.in_([status.value for status in statuses]))
        last = ""
        while True:
            query = (
                select(AnnotationRow.image_id)
                .where(*where, AnnotationRow.image_id > last)
                .distinct()
                .order_by(AnnotationRow.image_id)
                .limit(_PAGE)
            )
            with self._transactions.reading() as session:
                page = session.scalars(query).all()
            yield from page
            if len(page) < _PAGE:
                return
            last = page[-1]

    def with_several(self, project: str | None = None) -> Sequence[str]:
        """Images with more than one annotation that stands: who drew them may agree or not."""
        stands = AnnotationRow.status.in_([status.value for status in USABLE])
        query = (
            select(AnnotationRow.image_id)
            .where(*_of_project(project), stands)
            .group_by(AnnotationRow.image_id)
            .having(func.count() > 1)
            .order_by(AnnotationRow.image_id)
        )
        with self._transactions.reading() as session:
            return session.scalars(query).all()

    def tasks(self, project: str) -> Iterator[tuple[int, str]]:
        """Labeling task and image, by number, of all that has annotations over there as far as we
        know; read in pages."""
        key = (AnnotationRow.task_id, AnnotationRow.image_id)
        last = (0, "")
        while True:
            query = (
                select(*key)
                .where(
                    AnnotationRow.project == project,
                    AnnotationRow.status != AnnotationStatus.DELETED.value,
                    tuple_(*key) > tuple_(*last),
                )
                .distinct()
                .order_by(*key)
                .limit(_PAGE)
            )
            with self._transactions.reading() as session:
                page = [(task, image) for task, image in session.execute(query) if task]
            yield from page
            if len(page) < _PAGE:
                return
            last = page[-1]

    def revisions(self) -> Iterator[tuple[str, str]]:
        """Image and revision of every row, read in pages."""
        key = (AnnotationRow.project, AnnotationRow.annotation)
        last = ("", "")
        while True:
            query = (
                select(*key, AnnotationRow.image_id, AnnotationRow.revision)
                .where(tuple_(*key) > tuple_(*last))
                .order_by(*key)
                .limit(_PAGE)
            )
            with self._transactions.reading() as session:
                page = session.execute(query).all()
            for _, _, image, revision in page:
                yield image, revision
            if len(page) < _PAGE:
                return
            last = (page[-1][0], page[-1][1])

    def count_by_status(self, project: str | None = None) -> dict[str, int]:
        query = (
            select(AnnotationRow.status, func.count())
            .where(*_of_project(project))
            .group_by(AnnotationRow.status)
            .order_by(AnnotationRow.status)
        )
        with self._transactions.reading() as session:
            return {status: number for status, number in session.execute(query)}

    def forget_image(self, image_id: str) -> int:
        """How many rows it had."""
        with self._transactions.writing() as session:
            gone = delete(AnnotationRow).where(AnnotationRow.image_id == image_id)
            return change(session, gone)

    def _search(self, *where: ColumnElement[bool]) -> Sequence[AnnotationRow]:
        query = select(AnnotationRow).where(*where)
        order = AnnotationRow.updated_at, AnnotationRow.project, AnnotationRow.annotation
        with self._transactions.reading() as session:
            return session.scalars(query.order_by(*order)).all()


def _of_project(project: str | None) -> tuple[ColumnElement[bool], ...]:
    return () if project is None else (AnnotationRow.project == project,)


def _record(session: Session, annotation: Annotation) -> bool:
    """A Label Studio put back from an older backup gives its numbers again: the row of one image
    never becomes another's."""
    insert = insert_into(session, AnnotationRow).values(_values(annotation))
    new = insert.excluded
    is_older = (AnnotationRow.updated_at < new.updated_at) | (
        (AnnotationRow.updated_at == new.updated_at) & (AnnotationRow.revision < new.revision)
    )
    key = [column.name for column in inspect(AnnotationRow).primary_key]
    upsert = insert.on_conflict_do_update(
        index_elements=key,
        set_={column.name: column for column in new if column.name not in key},
        where=is_older,
    )
    return session.scalars(upsert.returning(AnnotationRow.annotation)).first() is not None


def _values(annotation: Annotation) -> dict[str, Any]:
    return {
        "project": annotation.origin.project,
        "annotation": annotation.origin.annotation,
        "image_id": annotation.image,
        "task_id": annotation.origin.task,
        "revision": annotation.revision,
        "status": annotation.status.value,
        "author": annotation.author,
        "ground_truth": annotation.ground_truth,
        "updated_at": annotation.updated_at,
        "labels": dict(
            Counter(shape.label for shape in annotation.shapes if shape.kind in OUTLINED)
        ),
        "problems": list(annotation.problems),
    }
