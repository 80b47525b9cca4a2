"""Labeling tasks of erased images in a Label Studio that is connected no more: nobody but a person
deletes them there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.catalog import Catalog
from pipeline.catalog.engine import Transactions
from pipeline.catalog.labeling.standing import list_erased
from pipeline.catalog.labeling.states import AT_ONCE, TaskState
from pipeline.errors import UserError
from traboule.advice import LABELS
from traboule.labels.connection import find_labeling
from traboule.labels.projects import address_of, find_current_key
from traboule.printing import count
from traboule.workspace import Workspace

SHOWN = 5
WHAT_TO_DO = "connect it again, or delete them there and say so: traboule labels forget-erased"


@dataclass(frozen=True)
class ErasedTasks:
    """What is to be deleted in one project; `tasks` are the numbers that are known."""

    project: str
    images: Sequence[str]
    tasks: Sequence[int]

    def tell(self) -> str:
        """How many are where."""
        shown = ", ".join(map(str, self.tasks[:SHOWN])) + (", …" if self.tasks[SHOWN:] else "")
        numbers = f" ({shown})" if shown else ""
        what = count(len(self.images), "erased image")
        return f"labeling tasks of {what} are still at {address_of(self.project)}{numbers}"


def find_erased(catalog: Catalog, image_id: str | None = None) -> Sequence[ErasedTasks]:
    """Of one image or all, by project."""
    found: dict[str, dict[str, int | None]] = {}
    for project, image, task in list_erased(Transactions(catalog.engine), image_id):
        found.setdefault(project, {})[image] = task
    return [
        ErasedTasks(project, list(rows), [task for task in rows.values() if task])
        for project, rows in found.items()
    ]


def find_left(
    catalog: Catalog, data: Path | None, image_id: str | None = None
) -> Sequence[ErasedTasks]:
    """Those in projects that are connected no more."""
    current = find_current_key(catalog, data)
    return [one for one in find_erased(catalog, image_id) if one.project != current]


def forget_left(workspace: Workspace) -> int:
    """A person deleted them, or all of that Label Studio is gone; of how many images. UserError
    where others have the right to."""
    if workspace.is_composed and find_labeling(None) is None:
        raise UserError(f"that is for labeling's rights alone: {LABELS} labels forget-erased")
    return sum(
        workspace.catalog.labeling.drop_erased(one.project, one.images[start : start + AT_ONCE])
        for one in find_left(workspace.catalog, workspace.data)
        for start in range(0, len(one.images), AT_ONCE)
    )


def tell_of_image(workspace: Workspace, image_id: str) -> list[str]:
    """What a person should know who just erased it."""
    left = find_left(workspace.catalog, workspace.data, image_id)
    told = [f"{one.tell()}: {WHAT_TO_DO}" for one in left]
    if len(left) < len(find_erased(workspace.catalog, image_id)):
        by = "labeling" if workspace.is_composed else "a run, or by: traboule labels pull"
        told.append(f"its labeling task is deleted by {by}")
    return told


def tell_before_disconnecting(workspace: Workspace) -> list[str]:
    """Of what the connection would have deleted, or would delete one day."""
    current = find_current_key(workspace.catalog, workspace.data)
    if current is None:
        return []
    waiting = [one for one in find_erased(workspace.catalog) if one.project == current]
    told = [f"{one.tell()}: {WHAT_TO_DO}" for one in waiting]
    if workspace.catalog.labeling.count_by_state(current).get(TaskState.SENT):
        told.append("labeling tasks of images that you erase from now on stay there as well")
    return told
