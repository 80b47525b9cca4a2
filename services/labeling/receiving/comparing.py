"""All labeling tasks of a project gone through from time to time: which were deleted there, which
we do not know of, which are of erased images, and what else a person should know. Deleting one
changes no task's time.

Many that disappear at once, or whose numbers are of others now, are another database rather than
deleted: a person has to say so.
"""

from __future__ import annotations

import math
import shlex
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from itertools import islice

from pipeline import keys
from pipeline.annotations import CLASSES
from pipeline.catalog.labeling.tasks import Considered, TaskState
from pipeline.labels.interface import compare_interface
from pipeline.logs import get_logger
from services.labeling.context import LabelingContext, Progress
from services.labeling.receiving.erasing import NOT_ERASED, delete_tasks_of, erase_there
from services.labeling.receiving.findings import Findings, Pair
from services.labeling.receiving.recording import record_deletions, record_task
from services.labeling.sending.composing import find_lacking
from services.labeling.studio.connection import Connected
from services.labeling.studio.project import check_project

AT_ONCE = 250
KNOWN_FOR = 3  # intervals between comparisons

log = get_logger(__name__)


def compare_when_due(context: LabelingContext, connected: Connected, ends_at: float) -> bool:
    """Whether a comparison came to its end. One that has no time left goes on in the next run.

    What was erased here since is deleted over there first: that is always due, and has half of the
    time.
    """
    now = time.monotonic()
    erase_there(context, connected, now + (ends_at - now) / 2)
    return _compare_when_due(context, connected, ends_at)


def _compare_when_due(context: LabelingContext, connected: Connected, ends_at: float) -> bool:
    progress = context.progress
    if progress.comparison is None or progress.comparison.connected is not connected:
        if not _is_due(context, connected):
            return False
        progress.comparison = Comparison(context, connected)
    return _advance(progress, progress.comparison, ends_at)


def compare_now(context: LabelingContext, connected: Connected, *, accept_deletions: bool) -> None:
    """To its end, due or not; `accept_deletions`: a person says that what is missing was deleted,
    however much it is."""
    erase_there(context, connected, math.inf)
    _advance(context.progress, Comparison(context, connected, accept_deletions), math.inf)


def _advance(progress: Progress, comparison: Comparison, ends_at: float) -> bool:
    progress.comparison = None  # where it is cut off, it begins again
    finished = comparison.advance(ends_at)
    if not finished:
        progress.comparison = comparison
    return finished


def compare_before_sending(context: LabelingContext, connected: Connected, ends_at: float) -> bool:
    """Whether we know what is over there, since a comparison was made not too long ago, or is now.

    The catalog may be new, rebuilt, or from a backup: then much was sent that it knows nothing of.
    """
    if not _is_due(context, connected, KNOWN_FOR):
        return True
    return _compare_when_due(context, connected, ends_at)


def _is_due(context: LabelingContext, connected: Connected, intervals: int = 1) -> bool:
    row = context.catalog.labeling_projects.get(connected.key)
    if row is None or row.compared_at is None:
        return True
    every = timedelta(seconds=context.settings.compare_every_s)
    return context.clock() - row.compared_at >= intervals * every


class Comparison:
    """One going through, in as many steps as it takes."""

    def __init__(
        self, context: LabelingContext, connected: Connected, accept_deletions: bool = False
    ) -> None:
        self.connected = connected
        self._accept_deletions = accept_deletions
        self._context = context
        self._project = connected.key
        self._found = Findings()
        self._steps = self._go()

    def advance(self, ends_at: float) -> bool:
        """Whether it is at its end. At least one step is taken."""
        return all(time.monotonic() <= ends_at for _ in self._steps)

    def _go(self) -> Iterator[None]:
        """Pauses after every step, each of which is short."""
        check_project(self.connected.studio, self.connected.project)
        # What we sent is read first: what is sent later cannot be missed over there.
        catalog = self._context.catalog
        sent = set(catalog.labeling.sent_ids(self._project))
        known = sent.union(catalog.annotations.tasks(self._project))
        for task, image in self.connected.studio.list_task_ids(self.connected.project.id):
            self._found.add(task, image)
            if len(self._found.tasks) % AT_ONCE == 0:
                yield
        missing = self._found.find_missing(known)
        if not self._accept_deletions and self._found.doubt(missing, known):
            log.warning("many labeling tasks are missing", tasks=len(missing), of=len(known))
        else:
            for some in _in_parts(missing):
                self._end(self._find_gone(some))
                yield
        first = ((task, image) for image, task in self._found.first.items())
        for some in _in_parts(pair for pair in first if pair not in sent):
            yield from self._adopt(some)
        for task, image in self._found.find_others():
            if (task, image) not in known:
                self._take_back(task)
                yield
        self._note()
        self._context.catalog.labeling_projects.compared(self._project, self._context.clock())

    def _find_gone(self, missing: Sequence[Pair]) -> Sequence[Pair]:
        """Those that were not listed, and that are not found by their image either: a page is
        shifted when a task on an earlier one is deleted meanwhile."""
        images = [image for _, image in missing]
        found = self.connected.studio.find_tasks(self.connected.project.id, images)
        return [(task, image) for task, image in missing if task not in found.get(image, ())]

    def _end(self, gone: Sequence[Pair]) -> None:
        """The annotations first: their end is found again as long as their task is not marked."""
        catalog, now = self._context.catalog, self._context.clock()
        for task, image in gone:
            rows = catalog.annotations.of_task(self._project, task)
            its = [row for row in rows if row.image_id == image]
            record_deletions(self._context, its, now)
        rows_by_task = catalog.labeling.by_task(self._project, [task for task, _ in gone])
        ours = [
            task
            for task, image in gone
            if task in rows_by_task and rows_by_task[task].image_id == image
        ]
        if gone:
            catalog.labeling.mark_gone(self._project, ours, now)
            log.warning("labeling tasks were deleted in Label Studio", tasks=len(gone))

    def _adopt(self, unknown: Sequence[Pair]) -> Iterator[None]:
        """Tasks of our images that we have no row for, with what people said there already."""
        known = self._context.catalog.labeling.by_task(self._project, [task for task, _ in unknown])
        for task, image in unknown:
            row = known.get(task)
            if row and row.image_id == image and row.state != TaskState.GONE:
                continue
            if self._context.store.exists(keys.tombstone(image)):
                self._found.erased += delete_tasks_of(self.connected, image).foreign
            else:
                self._adopt_one(task, image)
            yield

    def _adopt_one(self, task: int, image: str) -> None:
        if not self._is_known(image):
            self._found.foreign += 1  # somebody's, however its image is named
            return
        current = self.connected.studio.get_task(task)
        if current is None:
            return
        # Its row last: a task that has one is not looked at again.
        record_task(self._context, self._project, current)
        about = Considered(image, keys.source_of(image), keys.day_of(image))
        labeling, now = self._context.catalog.labeling, self._context.clock()
        if labeling.adopt(self._project, about, task, now):
            log.info("labeling task found", image=image, task=task)

    def _take_back(self, task: int) -> None:
        """What was said in one more task of an image, where all of it was taken for deleted."""
        if not self._context.catalog.annotations.of_task(self._project, task):
            return
        if (current := self.connected.studio.get_task(task)) is not None:
            record_task(self._context, self._project, current)

    def _is_known(self, image: str) -> bool:
        catalog, store = self._context.catalog, self._context.store
        if catalog.images.get(image) is not None:
            return True
        return any(store.exists(key) for key in keys.every_object(image))

    def _note(self) -> None:
        connected = self.connected
        project = check_project(connected.studio, connected.project)
        interface = project.interface
        edited = dict.fromkeys([*find_lacking(interface), *compare_interface(interface, CLASSES)])
        row = self._context.catalog.labeling_projects.get(self._project)
        notes = [
            *(note for note in (row.notes if row else ()) if note.startswith(NOT_ERASED)),
            *connected.problems,
            *edited,
            *self._describe_title(project.title),
            *self._found.describe(),
        ]
        self._context.catalog.labeling_projects.note(self._project, notes)
        log.info("compared with Label Studio", tasks=len(self._found.tasks), notes=len(notes))

    def _describe_title(self, title: str) -> Iterator[str]:
        if title != (wanted := self._context.settings.project):
            yield (
                f"the project is called {title!r} now, and is still ours; for one that is called "
                f"{wanted!r}: traboule labels connect --project {shlex.quote(wanted)}"
            )


def _in_parts(pairs: Iterable[Pair]) -> Iterator[list[Pair]]:
    left = iter(pairs)
    while part := list(islice(left, AT_ONCE)):
        yield part
