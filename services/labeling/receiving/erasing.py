"""Labeling tasks of erased images, deleted in Label Studio with all that was said in them.

Erasing is maintenance's: its rows say where a labeling task is to be deleted. What a person made
over there is left alone, even where it names such an image.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from pipeline.logs import get_logger
from services.labeling.context import LabelingContext
from services.labeling.sending.composing import copy_name, is_ours
from services.labeling.studio.connection import Connected
from services.labeling.studio.protocol import StudioTask

AT_ONCE = 40

log = get_logger(__name__)


@dataclass
class Deleted:
    """Labeling tasks by number; `foreign` ones were left."""

    tasks: list[int] = field(default_factory=list)
    foreign: list[int] = field(default_factory=list)


def delete_erased(context: LabelingContext, connected: Connected, ends_at: float) -> int:
    """What was erased since; how many tasks are gone. What there is no time for is done later."""
    count, labeling = 0, context.catalog.labeling
    while images := labeling.erased(connected.key, AT_ONCE):
        rows = labeling.rows(connected.key, images)
        ours = [row.task_id for row in rows.values() if row.task_id]
        count += len(delete_tasks_of(connected, images, ours).tasks)
        labeling.drop_erased(connected.key, images)
        if time.monotonic() > ends_at:
            break
    return count


def delete_tasks_of(
    connected: Connected, images: Sequence[str], ours: Collection[int] = ()
) -> Deleted:
    """All tasks of these images that are `ours`, or say that they are; and all copies."""
    studio, project, deleted = connected.studio, connected.project.id, Deleted()
    found = studio.find_tasks(project, images)
    for task in _read(connected, sorted(one for tasks in found.values() for one in tasks)):
        its_own = task.id in ours or is_ours(task.data)
        (deleted.tasks if its_own else deleted.foreign).append(task.id)
    # The tasks last: one that is left over is found again, a copy alone is not.
    files = studio.delete_copies(project, [copy_name(image) for image in images])
    studio.delete_tasks(deleted.tasks)
    if deleted.tasks:
        log.info("labeling tasks of erased images deleted", images=images, tasks=deleted.tasks)
    if files:
        log.warning("erased copies are left among Label Studio's files", files=files)
    return deleted


def _read(connected: Connected, numbers: Sequence[int]) -> Sequence[StudioTask]:
    tasks = (connected.studio.get_task(number) for number in numbers)
    return [task for task in tasks if task is not None]
