"""The whole pipeline in one process: every service's worker in threads, messages in memory."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from celery import Celery
from celery.beat import EmbeddedService
from celery.worker import state as worker_state

from pipeline.broker import Publish, make_app, make_worker, publisher
from pipeline.logs import get_logger
from pipeline.messages import Message
from pipeline.routes import route_of
from pipeline.settings import PipelineSettings
from services.capture import tasks as capture
from services.capture.settings import CaptureSettings
from services.detection import tasks as detection
from services.detection.settings import DetectionSettings
from services.labeling import tasks as labeling
from services.labeling.settings import LabelingSettings
from services.maintenance import tasks as maintenance
from services.maintenance.settings import MaintenanceSettings
from services.maintenance.sweep import sweep
from services.scheduler import tasks as scheduler
from services.scheduler.settings import SchedulerSettings
from services.scheduler.tick import count_lost_polls

STOP_WITHIN_S = 45.0

log = get_logger(__name__)


@dataclass(frozen=True)
class Group:
    """A service's app, and how many of its tasks may run at once."""

    app: Celery
    threads: int


class EmbeddedPipeline:
    """Runs between `with` and its end. Only one may run on a data folder: see workspace.locked.

    `for_labeling` None: no Label Studio is connected, and there is no such group."""

    def __init__(
        self, settings: PipelineSettings, for_labeling: LabelingSettings | None = None
    ) -> None:
        self._settings = settings
        self._groups = make_groups(settings, for_labeling)
        self._threads: list[threading.Thread] = []
        self._beat: Any = None

    def __enter__(self) -> EmbeddedPipeline:
        take_up(self._settings, self._groups["maintenance"].app)
        worker_state.should_stop = None
        for name, group in self._groups.items():
            worker = make_worker(group.app, group.threads)
            thread = threading.Thread(target=worker.start, name=name, daemon=True)
            thread.start()
            self._threads.append(thread)
        self._beat = EmbeddedService(
            self._groups["scheduler"].app, thread=True, scheduler_cls="celery.beat:Scheduler"
        )
        self._beat.start()
        return self

    @property
    def publish(self) -> Publish:
        """For what comes from outside."""
        return publisher(self._groups["maintenance"].app)

    def stop_polling(self) -> None:
        """No poll begins any more; those under way end, and what is stored is still detected."""
        self._beat.stop()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Tasks under way are finished; messages still waiting are announced by the next run."""
        self._beat.stop()
        worker_state.should_stop = os.EX_OK  # type: ignore[assignment]  # an exit status stops all
        for thread in self._threads:
            thread.join(STOP_WITHIN_S)
            if thread.is_alive():
                log.error("worker did not stop in time", worker=thread.name)


def make_groups(
    settings: PipelineSettings, for_labeling: LabelingSettings | None = None
) -> dict[str, Group]:
    """One app and worker per service, so that slow polls don't hold up ticks."""
    groups: dict[str, Group] = {}

    def make(service: Any, own: Any, threads: int) -> Group:
        name = service.__name__.split(".")[1]

        def build(publish: Publish) -> Any:
            return service.build_context(settings, own, publish_to(groups, publish))

        return Group(make_app(name, settings.broker_url, service.handlers, build), threads)

    for_capture, for_scheduler = CaptureSettings(), SchedulerSettings()
    groups |= {
        "scheduler": make(scheduler, for_scheduler, for_scheduler.threads),
        "maintenance": make(maintenance, MaintenanceSettings(), 1),
        "capture": make(capture, for_capture, for_capture.threads),
        "detection": make(detection, DetectionSettings(), os.cpu_count() or 1),
    }
    if for_labeling is not None:
        groups["labeling"] = make(labeling, for_labeling, 1)
    schedule = groups["scheduler"].app.conf.beat_schedule
    for name in [name for name in schedule if name.partition(".")[0] not in groups]:
        del schedule[name]
    return groups


def publish_to(groups: Mapping[str, Group], publish: Publish) -> Publish:
    """Of what nobody here would take, memory would fill."""

    def publish_if_taken(message: Message) -> None:
        route = route_of(type(message))
        if route is not None and route.queue in groups:
            publish(message)

    return publish_if_taken


def take_up(settings: PipelineSettings, app: Celery) -> None:
    """Take up where a stopped or killed run left off: nobody else is at work here now."""
    publish = publisher(app)
    for_scheduler = scheduler.build_context(settings, SchedulerSettings(), publish)
    count_lost_polls(for_scheduler)
    for_scheduler.catalog.close()
    at_once = MaintenanceSettings(storing_grace_s=0)
    context = maintenance.build_context(settings, at_once, publish)
    context.catalog.work.release_claims()
    context.catalog.work.announce_all(context.clock())
    sweep(context)
    context.catalog.close()
