"""The backend put together from the environment, and its server, which shows that it is alive."""

from __future__ import annotations

import signal

import uvicorn

from pipeline.errors import CorruptModel, ModelUnavailable
from pipeline.fetch import Fetcher, FetchLimits
from pipeline.labels.addresses import server_of
from pipeline.logs import get_logger
from pipeline.settings import PipelineSettings
from pipeline.storage import ObjectStore, open_store
from pipeline.vitals import Vitals
from services.detection.backend.api import Backend, make_api
from services.detection.backend.images import TaskImages
from services.detection.backend.predicting import Predictor
from services.detection.backend.settings import BackendSettings
from services.detection.registry import keep_detectors
from services.detection.settings import DetectionSettings

STOP_WITHIN_S = 5

log = get_logger(__name__)


def make_backend(
    settings: BackendSettings,
    models: DetectionSettings,
    store: ObjectStore,
    vitals: Vitals | None = None,
) -> Backend:
    predictor = Predictor(make_images(settings, store), models.threads, vitals)
    return Backend(settings, keep_detectors(models), predictor)


def make_images(settings: BackendSettings, store: ObjectStore) -> TaskImages:
    limits = FetchLimits(
        deadline_s=settings.fetch_s, read_timeout_s=settings.fetch_s, max_bytes=settings.max_bytes
    )
    url = settings.label_studio_url
    # A company's own may be called labels.company.com, and have an address of its network.
    trusted = frozenset({server_of(url)}) if url else frozenset()
    return TaskImages(store, Fetcher(limits, settings.user_agent, trusted), url)


def open_images() -> ObjectStore:
    """The object store that the environment names; the backend needs no broker and no catalog."""
    return open_store(
        PipelineSettings(
            broker_url="memory://localhost/",
            catalog_url="sqlite://",
            broker_password_file=None,
            catalog_password_file=None,
        ).store_url
    )


def load_models(backend: Backend) -> None:
    """Beforehand: Label Studio waits a few seconds for /setup. What is missing is tried again."""
    for name in (*backend.settings.detectors, *backend.settings.face_detectors):
        try:
            backend.detectors([name])
        except (ModelUnavailable, CorruptModel) as error:
            log.warning("a model is missing", reason=str(error))


def serve(backend: Backend, vitals: Vitals) -> None:
    """Until it is told to stop."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)  # uvicorn stops, and then sends it once more
    config = uvicorn.Config(
        make_api(backend),
        host=backend.settings.host,
        port=backend.settings.port,
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=STOP_WITHIN_S,
    )
    _Server(config, vitals).run()


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, vitals: Vitals) -> None:
        super().__init__(config)
        self._vitals = vitals

    async def on_tick(self, counter: int) -> bool:
        """Called by uvicorn ten times a second."""
        self._vitals.touch_as_ready()
        return await super().on_tick(counter)
