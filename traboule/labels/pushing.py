"""Images sent to be labelled now, because a person says so."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

from pipeline.catalog.images import ImageFilter
from pipeline.catalog.labeling.tasks import TaskState
from pipeline.errors import UserError
from pipeline.records import ImageState
from services.labeling.context import LabelingContext
from services.labeling.sending.considering import catch_up
from services.labeling.sending.pushing import Pusher
from services.labeling.studio.connection import Connected
from traboule.bars import Advance, progress_bar
from traboule.commander import find_commander
from traboule.labels.projects import find_project_key
from traboule.labels.reaching import reaching
from traboule.workspace import Workspace


@dataclass(frozen=True)
class Pushed:
    """`waiting`: of what was asked for, what another process sends or will; `failed` by reason."""

    sent: int
    already_there: int = 0
    waiting: int = 0
    failed: Mapping[str, int] = field(default_factory=dict)

    def as_record(self) -> dict[str, object]:
        return asdict(self)


def find_images(
    workspace: Workspace, wanted: ImageFilter, named: Sequence[str], *, every_image: bool
) -> Sequence[str] | None:
    """Ids of detected images; None where nothing is asked for in particular. UserError for one
    that is named and not there."""
    is_open = wanted == ImageFilter(states=wanted.states, limit=None)
    if named:
        if every_image or not is_open:
            raise UserError("name images, or say which they are: not both")
        states = workspace.catalog.images.states(list(dict.fromkeys(named)))
        for image in named:
            _check(image, states.get(image))
        return list(states)
    if is_open and not every_image:
        return None
    return [row.id for row in workspace.catalog.images.search(wanted)]


def find_failed(
    workspace: Workspace, wanted: ImageFilter, among: Sequence[str] | None
) -> Sequence[str]:
    """Images that were given up, and can be sent: all of them where `among` is None. UserError
    where no Label Studio was reached yet, or a number of images is wanted."""
    if wanted.limit is not None:
        raise UserError("--failed is of all that failed: it goes without --limit")
    failed = workspace.catalog.labeling.failed(find_project_key(workspace))
    if among is not None:
        failed = sorted(set(failed) & set(among))
    states = workspace.catalog.images.states(failed)
    return [image for image, state in states.items() if state is ImageState.DETECTED]


def push(workspace: Workspace, images: Sequence[str] | None) -> Pushed:
    """Send these, whatever the policy says of them; with None what the policy has waiting."""
    if images is not None and not images:
        return Pushed(0)
    if workspace.is_composed:
        return _ask_service(workspace, images)
    with reaching(workspace) as (context, connected):
        if images is None:
            pushed = _send_waiting(context, connected)
        else:
            pushed = _send_these(workspace, context, connected, images)
    return pushed


def _send_these(
    workspace: Workspace, context: LabelingContext, connected: Connected, images: Sequence[str]
) -> Pushed:
    before = _rows(context, connected, images)
    there = {image for image, state in before.items() if state[0] == TaskState.SENT}
    left = [image for image in images if image not in there]
    find_commander(workspace).push_images(left)
    _send(context, connected, left)
    return _count(_rows(context, connected, left), len(there))


def _ask_service(workspace: Workspace, images: Sequence[str] | None) -> Pushed:
    if images is None:
        raise UserError(
            "labeling sends what its policy has waiting by itself; say which images: "
            "--camera, --since, --limit, --label, --all or their ids"
        )
    project = find_project_key(workspace)
    rows = workspace.catalog.labeling.rows(project, list(images))
    there = {image for image, row in rows.items() if row.state == TaskState.SENT}
    left = [image for image in images if image not in there]
    find_commander(workspace).push_images(left)
    rows = workspace.catalog.labeling.rows(project, left)
    return _count({image: (row.state, row.reason) for image, row in rows.items()}, len(there))


def _check(image: str, state: ImageState | None) -> None:
    if state is None:
        raise UserError(f"no image {image!r}; see: traboule images list")
    if state is not ImageState.DETECTED:
        raise UserError(f"{image} cannot be sent: it is {state.value}, not detected")


_Rows = Mapping[str, tuple[str, str]]  # image to state and reason


def _rows(context: LabelingContext, connected: Connected, images: Sequence[str]) -> _Rows:
    rows = context.catalog.labeling.rows(connected.key, list(images))
    return {image: (row.state, row.reason) for image, row in rows.items()}


def _send(context: LabelingContext, connected: Connected, images: Sequence[str]) -> None:
    """No others, as long as nobody else sends."""
    pusher = Pusher(context, connected, math.inf)
    with progress_bar("sending", len(images)) as advance:
        waiting = len(images)
        while waiting:
            sent = pusher.send_waiting(waiting)
            if sent is None and pusher.resume_abandoned() is None:
                return
            states = Counter(state for state, _ in _rows(context, connected, images).values())
            waiting = states[TaskState.WAITING]
            advance(len(images) - waiting)


def _send_waiting(context: LabelingContext, connected: Connected) -> Pushed:
    tasks, key = context.catalog.labeling, connected.key
    while catch_up(context, key, math.inf):
        pass
    before = tasks.count_by_state(key)
    failed = tasks.reasons(key, TaskState.FAILED)
    with progress_bar("sending", before.get(TaskState.WAITING, 0)) as advance:
        sent = _drain(Pusher(context, connected, math.inf), advance)
    newly = Counter(tasks.reasons(key, TaskState.FAILED)) - Counter(failed)
    waiting = tasks.count_by_state(key).get(TaskState.WAITING, 0)
    return Pushed(sent, before.get(TaskState.SENT, 0), waiting, dict(newly))


def _drain(pusher: Pusher, advance: Advance) -> int:
    total = 0
    while True:
        new, resumed = pusher.send_waiting(), pusher.resume_abandoned()
        if new is None and resumed is None:
            return total
        total += (new or 0) + (resumed or 0)
        advance(total)


def _count(rows: _Rows, already_there: int) -> Pushed:
    states = Counter(state for state, _ in rows.values())
    failed = Counter(reason for state, reason in rows.values() if state == TaskState.FAILED)
    return Pushed(
        sent=states[TaskState.SENT],
        already_there=already_there,
        waiting=states[TaskState.WAITING],
        failed=dict(failed.most_common()),
    )
