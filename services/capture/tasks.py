"""Capture's tasks: a camera that is due is polled."""

from __future__ import annotations

from pipeline.admission import Admission
from pipeline.broker import Handlers, Publish
from pipeline.cadence import utc_now
from pipeline.catalog import open_catalog
from pipeline.decoding import DecodeLimits
from pipeline.ingest import Ingest
from pipeline.messages import PollDue
from pipeline.settings import PipelineSettings
from pipeline.storage import open_store
from services.capture.fetching import make_fetcher
from services.capture.poll import CaptureContext, poll
from services.capture.settings import CaptureSettings

handlers: Handlers[CaptureContext] = Handlers()


@handlers.on(PollDue)
def poll_camera(context: CaptureContext, message: PollDue) -> None:
    poll(context, message.camera, message.token)


def build_context(
    shared: PipelineSettings, settings: CaptureSettings, publish: Publish
) -> CaptureContext:
    catalog, store = open_catalog(shared.catalog_url), open_store(shared.store_url)
    admission = Admission(catalog, DecodeLimits(max_pixels=settings.max_pixels))
    return CaptureContext(
        catalog=catalog,
        store=store,
        fetcher=make_fetcher(settings),
        ingest=Ingest(catalog, store, publish, admission),
        min_free_bytes=settings.min_free_bytes,
        clock=utc_now,
    )
