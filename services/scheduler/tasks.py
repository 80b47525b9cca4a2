"""The scheduler's tasks: its tick, its feeds, and the commands about cameras."""

from __future__ import annotations

from pipeline.broker import Handlers, Publish
from pipeline.cadence import utc_now
from pipeline.catalog import open_catalog
from pipeline.messages import Discover, RemoveCamera, SaveCamera, Tick
from pipeline.settings import PipelineSettings
from pipeline.storage import open_store
from services.scheduler import sources
from services.scheduler.discovery import ask_due_feeds
from services.scheduler.settings import SchedulerSettings
from services.scheduler.tick import SchedulerContext
from services.scheduler.tick import tick as send_due_polls

handlers: Handlers[SchedulerContext] = Handlers()


@handlers.on(Tick)
def tick(context: SchedulerContext, message: Tick) -> None:
    send_due_polls(context)


@handlers.on(Discover)
def discover(context: SchedulerContext, message: Discover) -> None:
    ask_due_feeds(context)


@handlers.on(SaveCamera)
def save_camera(context: SchedulerContext, message: SaveCamera) -> None:
    sources.save_camera(context.catalog, context.store, message.camera, context.clock())


@handlers.on(RemoveCamera)
def remove_camera(context: SchedulerContext, message: RemoveCamera) -> None:
    sources.remove_camera(context.catalog, context.store, message.camera)


def build_context(
    shared: PipelineSettings, settings: SchedulerSettings, publish: Publish
) -> SchedulerContext:
    return SchedulerContext(
        catalog=open_catalog(shared.catalog_url),
        store=open_store(shared.store_url),
        publish=publish,
        settings=settings,
        clock=utc_now,
    )
