"""How far images are on their way, and how rows of labeling tasks are told apart by it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement

from pipeline.catalog.tables import LabelingTaskRow

AT_ONCE = 500  # values in one statement: databases bound how many it takes

Conditions = tuple[ColumnElement[bool], ...]


class TaskState(StrEnum):
    """How far an image is on its way to a project."""

    WAITING = "waiting"  # to be sent; while it has a claim, somebody sends it
    LEFT_OUT = "left-out"  # by the policy
    SENT = "sent"
    GONE = "gone"  # sent, and its labeling task was deleted over there
    FAILED = "failed"
    ERASED = "erased"  # its image was: what is over there is to be deleted, then the row


def in_state(project: str, state: TaskState) -> Conditions:
    return LabelingTaskRow.project == project, LabelingTaskRow.state == state.value


def is_free(project: str) -> Conditions:
    return (*in_state(project, TaskState.WAITING), LabelingTaskRow.claim_token.is_(None))


def is_claimed(project: str) -> Conditions:
    """A row with a claim waits, and is found by its claim: of those that wait there may be many."""
    return LabelingTaskRow.project == project, LabelingTaskRow.claim_token.is_not(None)


def is_held(project: str, token: str) -> Conditions:
    return LabelingTaskRow.project == project, LabelingTaskRow.claim_token == token


def has_lapsed(project: str, now: datetime) -> Conditions:
    """Claimed, and not sent in time."""
    return (*is_claimed(project), LabelingTaskRow.claimed_until <= now)


def closed(state: TaskState, now: datetime) -> dict[str, Any]:
    """Values of a row that is nobody's any more."""
    return {"state": state.value, "updated_at": now, "claim_token": None, "claimed_until": None}
