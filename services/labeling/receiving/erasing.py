"""Labeling tasks of erased images, deleted in Label Studio with all that was said in them.

Erasing is maintenance's: its rows say where a labeling task is to be deleted. What a person made
over there is left alone, even where it names such an image.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from pipeline.logs import get_logger
from services.labeling.context import LabelingContext
from services.labeling.sending.composing import copy_name, is_ours
from services.labeling.studio.connection import Connected
from services.labeling.studio.deadlines import GRACE_S, ending_by
from services.labeling.studio.failures import StudioError

NOT_ERASED = "labeling tasks of erased images are not deleted there yet: "
AT_ONCE = 10  # few: what is asked for them is not cut off by the time

log = get_logger(__name__)


@dataclass
class Deleted:
    """Labeling tasks by number; `foreign` ones were left."""

    tasks: list[int] = field(default_factory=list)
    foreign: list[int] = field(default_factory=list)


def erase_there(context: LabelingContext, connected: Connected, ends_at: float) -> None:
    """What was erased since. What fails is noted, and done later: other work does not wait."""
    failure: list[str] = []
    try:
        delete_erased(context, connected, ends_at)
    except StudioError as error:
        log.warning("labeling tasks of erased images not deleted", reason=str(error))
        failure.append(f"{NOT_ERASED}{error}")
    context.catalog.labeling_projects.renote(
        connected.key, failure, lambda note: note.startswith(NOT_ERASED)
    )


def delete_erased(context: LabelingContext, connected: Connected, ends_at: float) -> int:
    """What was erased since; how many tasks are gone. What there is no time for is done later."""
    count, labeling, project = 0, context.catalog.labeling, connected.project.id
    with ending_by(ends_at + GRACE_S):
        while images := labeling.erased(connected.key, AT_ONCE):
            found = connected.studio.find_tasks(project, images)
            rows = labeling.rows(connected.key, images)
            # All copies of the project are listed for it, which takes long where there are many.
            copied = [image for image, row in rows.items() if row.copy_address is not None]
            _delete_copies(connected, copied)
            for image, row in rows.items():
                deleted = _delete_tasks(connected, image, found.get(image, ()), row.task_id)
                count += len(deleted.tasks)
                labeling.drop_erased(connected.key, [image])
                if time.monotonic() > ends_at:
                    return count
    return count


def delete_tasks_of(connected: Connected, image: str) -> Deleted:
    """All tasks of it that say that they are ours, and all copies."""
    found = connected.studio.find_tasks(connected.project.id, [image])
    _delete_copies(connected, [image])
    return _delete_tasks(connected, image, found.get(image, ()))


def _delete_copies(connected: Connected, images: Sequence[str]) -> None:
    """Before the tasks: one that is left over is found again, a copy alone is not."""
    names = [copy_name(image) for image in images]
    if not names:
        return
    if files := connected.studio.delete_copies(connected.project.id, names):
        log.warning("erased copies are left among Label Studio's files", files=files)


def _delete_tasks(
    connected: Connected, image: str, numbers: Sequence[int], sent_as: int | None = None
) -> Deleted:
    """`sent_as`: the one that we know to be ours."""
    deleted = Deleted()
    for number in sorted(numbers):
        task = connected.studio.get_task(number)
        if task is not None:
            its_own = number == sent_as or is_ours(task.data)
            (deleted.tasks if its_own else deleted.foreign).append(number)
    connected.studio.delete_tasks(deleted.tasks)
    if deleted.tasks:
        log.info("labeling tasks of an erased image deleted", image=image, tasks=deleted.tasks)
    return deleted
