"""How labeling stands, as records and in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from pipeline.catalog.labeling.tasks import TaskState
from pipeline.errors import UserError
from traboule.labels.connection import NOT_CONNECTED
from traboule.labels.erased import WHAT_TO_DO, find_left
from traboule.labels.projects import address_of
from traboule.labels.state import LabelingState, count_labelled, read_agreement, read_state
from traboule.printing import Record, show
from traboule.workspace import Workspace

TASKS = {
    TaskState.WAITING: "waiting to be sent",
    TaskState.SENT: "sent",
    TaskState.LEFT_OUT: "left out by the policy",
    TaskState.GONE: "deleted over there",
    TaskState.FAILED: "failed",
    TaskState.ERASED: "erased here, and to be deleted over there",
}


def describe_all(workspace: Workspace) -> dict[str, Any]:
    """UserError where nothing is connected, and never was."""
    state = read_state(workspace)
    if state is None:
        raise UserError(NOT_CONNECTED)
    agreement, labelled = read_agreement(workspace), count_labelled(workspace)
    return {
        **asdict(state),
        "labelled_images": labelled.usable,
        "unusable_images": labelled.unusable,
        "left_there": [one.tell() for one in find_left(workspace.catalog, workspace.data)],
        "agreement": {
            "images": agreement.images,
            "disagreeing": agreement.disputed,
            "score": agreement.score,
            "classes": {label: tally.score for label, tally in agreement.classes.items()},
        },
    }


def tell_briefly(state: LabelingState) -> str:
    """One line."""
    told = _tell_counts(state.tasks, TASKS) or "nothing sent yet"
    said = ", ".join(f"{count} {status}" for status, count in state.annotations.items())
    line = f"{told}; annotations: {said}" if said else told
    return f"{line}; Label Studio fails: {show(state.reason)}" if state.reason else line


def tell_all(known: Record) -> Iterator[str]:
    yield f"Label Studio  {show(address_of(known['project'] or known['url']))}"
    yield f"last contact  {_show_time(known['contacted_at'])}"
    if known["reason"]:
        yield f"it fails now: {show(known['reason'])}"
    yield f"images        {_tell_counts(known['tasks'], TASKS) or 'none yet'}"
    if known["held_back"]:
        yield (
            f"  {known['held_back']} wait since {known['per_camera_and_day']} of a camera and day "
            "are sent by themselves; to send them: traboule labels push --camera ID"
        )
    for word in ("left_out", "failed"):
        for reason, count in known[word].items():
            yield f"  {count} {word.replace('_', ' ')}: {show(reason)}"
    yield f"annotations   {_tell_counts(known['annotations'], {}) or 'none yet'}"
    yield f"labelled      {known['labelled_images']} images that people labelled or found empty"
    if known["unusable_images"]:
        yield f"  {known['unusable_images']} more with nothing usable: no label of ours is in them"
    yield from _tell_agreement(known["agreement"])
    for left in known["left_there"]:
        yield f"note: {show(left)}: {WHAT_TO_DO}"
    for note in known["notes"]:
        yield f"note: {show(note)}"


def _tell_agreement(agreement: Record) -> Iterator[str]:
    if not agreement["images"]:
        return
    yield (
        f"agreement     {agreement['score']:.0%} over {agreement['images']} images that several "
        f"people labelled; they disagree on {agreement['disagreeing']}"
    )
    for label, score in agreement["classes"].items():
        yield f"  {show(label)} {score:.0%}"


def _tell_counts(counts: Mapping[str, int], words: Mapping[Any, str]) -> str:
    return ", ".join(f"{count} {words.get(name, name)}" for name, count in counts.items())


def _show_time(at: datetime | None) -> str:
    return "never" if at is None else show(at)
