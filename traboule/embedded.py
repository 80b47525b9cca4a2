"""The whole pipeline in one process: every service's worker in threads, messages in memory."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from celery import Celery
from celery.beat import EmbeddedService
from celery.worker import state as worker_state

from pipeline.broker import make_app, publisher
from pipeline.logs import get_logger
from pipeline.settings import PipelineSettings
from services.capture import tasks as capture
from services.capture.settings import CaptureSettings
from services.detection import tasks as detection
from services.detection.settings import DetectionSettings
from services.maintenance import tasks as maintenance
from services.maintenance.settings import MaintenanceSettings
from services.maintenance.sweep import sweep
from services.scheduler import tasks as scheduler
from services.scheduler.settings import SchedulerSettings

STOP_WITHIN_S = 45.0

log = get_logger(__name__)


@dataclass(frozen=True)
class Group:
    """A service's app, and how many of its tasks may run at once."""

    app: Celery
    threads: int


class EmbeddedPipeline:
    """Runs between `with` and its end. Only one may run on a data folder: see workspace.locked."""

    def __init__(self, settings: PipelineSettings) -> None:
        self._settings = settings
        self._groups = make_groups(settings)
        self._workers: list[Any] = []
        self._threads: list[threading.Thread] = []
        self._beat: Any = None

    def __enter__(self) -> EmbeddedPipeline:
        take_up(self._settings, self._groups["maintenance"].app)
        worker_state.should_stop = None
        for name, group in self._groups.items():
            worker = group.app.WorkController(
                pool="threads",
                concurrency=group.threads,
                without_mingle=True,
                without_gossip=True,
                without_heartbeat=True,
            )
            thread = threading.Thread(target=worker.start, name=name, daemon=True)
            thread.start()
            self._workers.append(worker)
            self._threads.append(thread)
        self._beat = EmbeddedService(
            self._groups["scheduler"].app, thread=True, scheduler_cls="celery.beat:Scheduler"
        )
        self._beat.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Tasks under way are finished; messages still waiting are announced by the next run."""
        self._beat.stop()
        worker_state.should_stop = os.EX_OK
        for thread in self._threads:
            thread.join(STOP_WITHIN_S)
            if thread.is_alive():
                log.error("worker did not stop in time", worker=thread.name)


def make_groups(settings: PipelineSettings) -> dict[str, Group]:
    """One app and worker per service, so that slow polls don't hold up ticks."""
    url = settings.broker_url
    for_scheduler, for_maintenance = SchedulerSettings(), MaintenanceSettings()
    for_capture, for_detection = CaptureSettings(), DetectionSettings()
    return {
        "scheduler": Group(
            make_app(
                "scheduler",
                url,
                scheduler.handlers,
                lambda publish: scheduler.build_context(settings, for_scheduler, publish),
            ),
            threads=1,
        ),
        "capture": Group(
            make_app(
                "capture",
                url,
                capture.handlers,
                lambda publish: capture.build_context(settings, for_capture, publish),
            ),
            threads=for_capture.threads,
        ),
        "detection": Group(
            make_app(
                "detection",
                url,
                detection.handlers,
                lambda publish: detection.build_context(settings, for_detection, publish),
            ),
            threads=os.cpu_count() or 1,
        ),
        "maintenance": Group(
            make_app(
                "maintenance",
                url,
                maintenance.handlers,
                lambda publish: maintenance.build_context(settings, for_maintenance, publish),
            ),
            threads=1,
        ),
    }


def take_up(settings: PipelineSettings, app: Celery) -> None:
    """Take up where a stopped or killed run left off: nobody else is at work here now."""
    at_once = MaintenanceSettings(storing_grace_s=0)
    context = maintenance.build_context(settings, at_once, publisher(app))
    context.catalog.cameras.release_leases()
    context.catalog.work.release_claims()
    context.catalog.work.announce_all(context.clock())
    sweep(context)
    context.catalog.close()
