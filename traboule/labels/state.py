"""How labeling stands, as the catalog and the object store know it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from pipeline.annotations import CLASSES, USABLE
from pipeline.catalog.engine import Transactions
from pipeline.catalog.labeling import standing
from pipeline.catalog.labeling.tasks import TaskState
from traboule.labels.connection import find_labeling
from traboule.labels.projects import find_row
from traboule.workspace import Workspace

if TYPE_CHECKING:
    from services.labeling.sets.agreement import Agreement, ImageAgreement


@dataclass(frozen=True)
class LabelingState:
    """`project` None: none was reached yet. `tasks` by state, `annotations` by status; `reason`:
    why Label Studio does not answer. `held_back`: how many wait because `per_camera_and_day` of
    theirs were sent; both are known where labeling's settings are."""

    url: str | None
    project: str | None = None
    contacted_at: datetime | None = None
    followed_to: datetime | None = None
    reason: str = ""
    notes: Sequence[str] = ()
    tasks: Mapping[str, int] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)
    failed: Mapping[str, int] = field(default_factory=dict)
    annotations: Mapping[str, int] = field(default_factory=dict)
    per_camera_and_day: int | None = None
    held_back: int = 0


def read_state(workspace: Workspace) -> LabelingState | None:
    """None where nothing is connected, and none was ever reached. Raises CatalogError."""
    settings = find_labeling(workspace.data)
    url = settings.url if settings else None
    row = find_row(workspace.catalog, url)
    if row is None:
        return None if url is None else LabelingState(url)
    is_known = row.contacted_at is not None
    if url is None and workspace.data is not None and not is_known:
        return None
    key, tasks = row.project, workspace.catalog.labeling
    per_day = settings.per_camera_and_day if settings else None
    return LabelingState(
        url=url or (None if workspace.data else key.rpartition("#")[0]),
        project=key if is_known else None,
        contacted_at=row.contacted_at,
        followed_to=row.followed_to,
        reason=row.reason,
        notes=tuple(row.notes),
        tasks=tasks.count_by_state(key),
        left_out=tasks.reasons(key, TaskState.LEFT_OUT),
        failed=tasks.reasons(key, TaskState.FAILED),
        annotations=workspace.catalog.annotations.count_by_status(),
        per_camera_and_day=per_day,
        held_back=0 if per_day is None else _count_held_back(workspace, key, per_day),
    )


def _count_held_back(workspace: Workspace, project: str, per_day: int) -> int:
    return standing.count_held_back(Transactions(workspace.catalog.engine), project, per_day)


def count_labelled(workspace: Workspace) -> standing.Labelled:
    return standing.count_labelled(Transactions(workspace.catalog.engine), CLASSES)


def read_agreement(workspace: Workspace) -> Agreement:
    """Of all images that several people looked at; their annotations are read from the store."""
    from services.labeling.sets.agreement import summarise

    return summarise(_compare(workspace))


def _compare(workspace: Workspace) -> Iterator[ImageAgreement | None]:
    from pipeline import keys
    from pipeline.annotations import Annotation
    from pipeline.errors import ObjectMissing
    from services.labeling.sets.agreement import agree

    catalog, store = workspace.catalog.annotations, workspace.store
    usable = {status.value for status in USABLE}
    for image in catalog.with_several():
        said = []
        for row in catalog.of_image(image):
            if row.status in usable:
                try:
                    found = store.get(keys.annotation(image, row.revision))
                except ObjectMissing:
                    continue  # erased meanwhile
                said.append(Annotation.model_validate_json(found.data))
        yield agree(said)
