"""Detection's tasks: an image that was stored is looked at."""

from __future__ import annotations

from contextlib import closing

from pipeline.broker import Handlers, Publish
from pipeline.cadence import utc_now
from pipeline.catalog import open_catalog
from pipeline.messages import ImageStored
from pipeline.settings import PipelineSettings
from pipeline.storage import open_store
from services.detection import processing
from services.detection.processing import DetectionContext
from services.detection.registry import keep_detectors
from services.detection.settings import DetectionSettings
from services.detection.supply import supply_models

handlers: Handlers[DetectionContext] = Handlers()


@handlers.on(ImageStored)
def detect_image(context: DetectionContext, message: ImageStored) -> None:
    processing.detect_image(context, message.image)


def build_context(
    shared: PipelineSettings, settings: DetectionSettings, publish: Publish
) -> DetectionContext:
    return DetectionContext(
        catalog=open_catalog(shared.catalog_url),
        store=open_store(shared.store_url),
        publish=publish,
        detectors=keep_detectors(settings),
        clock=utc_now,
        deadline_s=settings.deadline_s,
    )


def prepare(shared: PipelineSettings, settings: DetectionSettings) -> None:
    """For a process of its own, before it consumes: models pulled, where the settings want it."""

    def announce_awaiting() -> None:
        with closing(open_catalog(shared.catalog_url)) as catalog:
            catalog.work.announce_awaiting(utc_now())

    if settings.pull_models:
        supply_models(settings, announce_awaiting)
