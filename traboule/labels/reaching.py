"""The connected Label Studio, as one command works with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.cadence import utc_now
from pipeline.errors import UserError
from pipeline.messages import Message
from services.labeling import tasks
from services.labeling.context import LabelingContext
from services.labeling.settings import LabelingSettings
from services.labeling.studio.connection import Connected, Connection
from services.labeling.studio.protocol import Studio
from traboule.advice import LABELS
from traboule.labels.connection import NOT_CONNECTED, find_known, find_labeling
from traboule.workspace import Workspace


def open_labeling(workspace: Workspace) -> LabelingContext:
    """UserError where nothing is connected."""
    settings = find_labeling(workspace.data)
    if settings is None and workspace.is_composed:
        raise UserError(f"Label Studio is reached with labeling's rights alone: {LABELS} labels …")
    if settings is None:
        raise UserError(NOT_CONNECTED)
    return make_context(workspace, settings)


def make_context(workspace: Workspace, settings: LabelingSettings) -> LabelingContext:
    projects = workspace.catalog.labeling_projects
    return LabelingContext(
        catalog=workspace.catalog,
        store=workspace.store,
        publish=_pass_over,
        settings=settings,
        clock=utc_now,
        connection=Connection(settings, projects, tasks.open_studio, utc_now),
    )


@contextmanager
def reaching(workspace: Workspace) -> Iterator[tuple[LabelingContext, Connected]]:
    """UserError where nothing is connected, and, with the reason, where Label Studio fails before
    or meanwhile."""
    context = open_labeling(workspace)
    connection = context.connection
    try:
        with connection.session() as connected:
            if connected is not None:
                yield context, connected
        if connection.reason:
            raise UserError(connection.reason + advise(workspace.data))
    finally:
        connection.close()


def advise(data: Path | None) -> str:
    """What to do about a Label Studio that fails."""
    known = None if data is None else find_known(data)
    return "; is it at work? traboule labels serve" if known is not None and known.is_ours else ""


@contextmanager
def opened(url: str, token: str) -> Iterator[Studio]:
    """One to ask a few things of."""
    studio = tasks.open_studio(url, token)
    try:
        yield studio
    finally:
        studio.close()


def _pass_over(message: Message) -> None:
    """Nobody else has to hear of what a command does."""
