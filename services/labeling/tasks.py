"""Labeling's tasks: images are considered and sent, and what people say of them comes back."""

from __future__ import annotations

import time

from pipeline.broker import Handlers, Publish
from pipeline.cadence import utc_now
from pipeline.catalog import open_catalog
from pipeline.messages import FollowChanges, ImageDetected, PushImages, PushTasks
from pipeline.settings import PipelineSettings
from pipeline.storage import open_store
from services.labeling.context import LabelingContext
from services.labeling.receiving import comparing, following
from services.labeling.sending import considering, pushing
from services.labeling.settings import LabelingSettings
from services.labeling.studio.connection import Connection
from services.labeling.studio.deadlines import GRACE_S, ending_by
from services.labeling.studio.failures import StudioRefused
from services.labeling.studio.protocol import Studio

SENDING, FOLLOWING = "sending", "following"  # kinds of work: one that fails stops no other
INSTALL_SDK = "install it: pip install --no-deps --requirement labeling-sdk.txt"

handlers: Handlers[LabelingContext] = Handlers()


@handlers.on(ImageDetected)
def consider_image(context: LabelingContext, message: ImageDetected) -> None:
    considering.consider_image(context, message.image)


@handlers.on(PushImages)
def push_images(context: LabelingContext, message: PushImages) -> None:
    considering.ask_for(context, message.images)


@handlers.on(PushTasks)
def push_tasks(context: LabelingContext, message: PushTasks) -> None:
    ends_at = time.monotonic() + context.settings.run_s
    with ending_by(ends_at + GRACE_S), context.connection.session(SENDING) as connected:
        if connected is not None:
            considering.catch_up(context, connected.key, ends_at)
            pushing.push_waiting(context, connected, ends_at)


@handlers.on(FollowChanges)
def follow_changes(context: LabelingContext, message: FollowChanges) -> None:
    ends_at = time.monotonic() + context.settings.run_s
    with ending_by(ends_at + GRACE_S), context.connection.session(FOLLOWING) as connected:
        if connected is not None:
            following.follow(context, connected, ends_at)
            comparing.compare_when_due(context, connected, ends_at)


def build_context(
    shared: PipelineSettings, settings: LabelingSettings, publish: Publish
) -> LabelingContext:
    catalog = open_catalog(shared.catalog_url)
    return LabelingContext(
        catalog=catalog,
        store=open_store(shared.store_url),
        publish=publish,
        settings=settings,
        clock=utc_now,
        connection=Connection(settings, catalog.labeling_projects, open_studio, utc_now),
    )


def open_studio(url: str, token: str) -> Studio:
    """Imported here: the client takes a second to load, and may not be needed."""
    try:
        from services.labeling.client import SdkStudio
    except ImportError as error:
        raise StudioRefused(f"{error}; {INSTALL_SDK}") from None
    return SdkStudio(url, token)
