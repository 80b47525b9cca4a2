"""The Celery app of a service: its reliability options set once, its tasks from routes.py.

A service declares handlers (message in, domain function called); this module makes tasks of them.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import structlog
from celery import Celery, Task
from celery.concurrency.thread import TaskPool
from kombu import Queue
from kombu.exceptions import OperationalError

from pipeline.errors import BrokerError, TransientError
from pipeline.messages import Message
from pipeline.routes import BEATS, route_of

ContextT = TypeVar("ContextT")
MessageT = TypeVar("MessageT", bound=Message)
Publish = Callable[[Message], None]

TASK_DEADLINE_S = 30
VISIBILITY_TIMEOUT_S = 60

RELIABILITY: dict[str, Any] = {
    "task_ignore_result": True,
    "task_acks_late": True,
    "task_reject_on_worker_lost": True,
    "task_serializer": "json",
    "accept_content": ["json"],
    "task_soft_time_limit": TASK_DEADLINE_S,
    "task_time_limit": TASK_DEADLINE_S + 5,
    "worker_prefetch_multiplier": 1,
    "worker_redirect_stdouts": False,
    "worker_hijack_root_logger": False,
    "broker_connection_retry_on_startup": True,
    # Beat sleeps 300 s by default, and would send a tick as late.
    "beat_max_loop_interval": 1,
    "timezone": "UTC",
}


@dataclass(frozen=True)
class Handler(Generic[ContextT]):
    message: type[Message]
    run: Callable[[ContextT, Any], None]


class Handlers(Generic[ContextT]):
    """The handlers of one service, by message."""

    def __init__(self) -> None:
        self.all: list[Handler[ContextT]] = []

    def on(
        self, message: type[MessageT]
    ) -> Callable[[Callable[[ContextT, MessageT], None]], Callable[[ContextT, MessageT], None]]:
        def register(
            run: Callable[[ContextT, MessageT], None],
        ) -> Callable[[ContextT, MessageT], None]:
            self.all.append(Handler(message, run))
            return run

        return register


class PerProcess(Generic[ContextT]):
    """Builds a context once per process, at its first use: after a worker's fork, not before."""

    def __init__(self, build: Callable[[], ContextT]) -> None:
        self._build = build
        self._lock = threading.Lock()
        self._built: tuple[int, ContextT] | None = None

    def get(self) -> ContextT:
        with self._lock:
            if self._built is None or self._built[0] != os.getpid():
                self._built = (os.getpid(), self._build())
            return self._built[1]


def make_app(
    service: str,
    broker_url: str,
    handlers: Handlers[ContextT],
    build: Callable[[Publish], ContextT],
) -> Celery:
    """A Celery app that consumes `service`'s queue with `handlers`; adapters come from `build`."""
    app = Celery(service, broker=broker_url, set_as_current=False)
    app.conf.update(
        **RELIABILITY,
        task_queues=[Queue(service)],
        task_default_queue=service,
        broker_transport_options=_transport_options(broker_url),
        beat_schedule=_beat_schedule(),
    )
    context = PerProcess(lambda: build(publisher(app)))
    for handler in handlers.all:
        _add_task(app, handler, context)
    return app


def publisher(app: Celery) -> Publish:
    """A function that sends a message where routes.py says; BrokerError when it was not taken."""

    def publish(message: Message) -> None:
        route = route_of(type(message))
        if route is None:
            return
        try:
            app.send_task(
                route.task,
                kwargs={"message": message.model_dump(mode="json")},
                queue=route.queue,
                expires=route.expires_s,
            )
        except (OperationalError, OSError) as error:
            raise BrokerError(f"the broker did not take {type(message).__name__}") from error

    return publish


class ThreadsOfOneApp(TaskPool):
    """Threads that know their app: Celery looks a task up in the thread's current app, and one
    process may hold several."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.executor = ThreadPoolExecutor(self.limit, initializer=self.app.set_current)


def make_worker(app: Celery, threads: int) -> Any:
    """A worker to `start` in a thread of its own; it ends when celery.worker.state says so."""
    return app.WorkController(
        pool=ThreadsOfOneApp,
        concurrency=threads,
        without_mingle=True,
        without_gossip=True,
        without_heartbeat=True,
    )


def run_worker(app: Celery, threads: int, *, beat: bool = False) -> None:
    """Consume the app's queue until the process is told to stop; `beat` adds beat as a child."""
    app.Worker(
        pool="threads",
        concurrency=threads,
        without_mingle=True,
        without_gossip=True,
        without_heartbeat=True,
        beat=beat,
        scheduler="celery.beat:Scheduler",  # keeps no file: state is in the catalog
    ).start()


def _add_task(app: Celery, handler: Handler[ContextT], context: PerProcess[ContextT]) -> None:
    route = route_of(handler.message)
    if route is None:
        raise TypeError(f"{handler.message.__name__} has a handler but no queue in routes.py")

    def run(task: Task[..., None], message: dict[str, Any]) -> None:

        received = handler.message.model_validate(message)
        with structlog.contextvars.bound_contextvars(
            task=route.task, task_id=task.request.id, **_subject(message)
        ):
            handler.run(context.get(), received)

    app.task(
        name=route.task,
        bind=True,
        shared=False,  # else every other app of the process would have it too
        autoretry_for=(TransientError,),
        retry_backoff=2,
        retry_backoff_max=40,
        retry_jitter=True,
        max_retries=3,
    )(run)


def _subject(message: dict[str, Any]) -> dict[str, str]:
    """The image or camera a message is about, for every line logged meanwhile."""
    about = {name: message[name] for name in ("image", "camera") if name in message}
    return {name: one if isinstance(one, str) else one["id"] for name, one in about.items()}


def _beat_schedule() -> dict[str, dict[str, Any]]:
    return {
        route.task: {
            "task": route.task,
            "schedule": beat.every_s,
            "kwargs": {"message": beat.message.model_dump(mode="json")},
            "options": {"queue": route.queue, "expires": route.expires_s},
        }
        for beat in BEATS
        if (route := route_of(type(beat.message))) is not None
    }


def _transport_options(broker_url: str) -> dict[str, float]:
    if broker_url.startswith("memory:"):
        return {"polling_interval": 0.02}  # the default of 1 s makes every message wait for it
    return {"visibility_timeout": VISIBILITY_TIMEOUT_S}
