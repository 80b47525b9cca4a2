"""The Celery app of a service: its reliability options set once, its tasks from routes.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog
from celery import Celery, Task
from celery.exceptions import Reject

from pipeline.broker.execution import recorded, subject_of
from pipeline.broker.handlers import ContextT, Handler, Handlers, PerProcess
from pipeline.broker.publishing import Publish, publisher, queue_of
from pipeline.broker.transport import (
    VISIBILITY_TIMEOUT_S,
    transport_of,
    transport_options,
)
from pipeline.errors import TransientError
from pipeline.logs import get_logger
from pipeline.routes import BEATS, route_of

TASK_DEADLINE_S = 30

log = get_logger(__name__)

RELIABILITY: dict[str, Any] = {
    "task_ignore_result": True,
    "task_acks_late": True,
    "task_reject_on_worker_lost": True,
    "task_serializer": "json",
    "accept_content": ["json"],
    "task_soft_time_limit": TASK_DEADLINE_S,
    "task_time_limit": TASK_DEADLINE_S + 5,
    "task_default_exchange": "",  # see publishing.queue_of
    "task_publish_retry": False,  # a broker that is away is a TransientError of the whole task
    "worker_prefetch_multiplier": 1,
    "worker_redirect_stdouts": False,
    "worker_hijack_root_logger": False,
    "worker_enable_remote_control": False,  # each would listen on a channel of everybody's
    "worker_send_task_events": False,
    "broker_connection_retry_on_startup": True,
    "broker_pool_limit": 64,
    # Beat sleeps 300 s by default, and would send a tick as late.
    "beat_max_loop_interval": 1,
    "timezone": "UTC",
}


def make_app(
    service: str,
    broker_url: str,
    handlers: Handlers[ContextT],
    build: Callable[[Publish], ContextT],
    *,
    visibility_timeout_s: float = VISIBILITY_TIMEOUT_S,
) -> Celery:
    """A Celery app that consumes `service`'s queue with `handlers`; adapters come from `build`."""
    app = Celery(service, broker=broker_url, set_as_current=False)
    app.conf.update(
        **RELIABILITY,
        task_queues=[queue_of(service)],
        task_default_queue=service,
        broker_transport=transport_of(broker_url),
        broker_transport_options=transport_options(service, broker_url, visibility_timeout_s),
        beat_schedule=_beat_schedule(),
    )
    context = PerProcess(lambda: build(publisher(app)))
    for handler in handlers.all:
        _add_task(app, handler, context)
    return app


class _Task(Task):  # type: ignore[type-arg]
    """One whose message comes again where the broker does not take its retry: Celery drops it."""

    def retry(self, *args: Any, **options: Any) -> Any:
        try:
            return super().retry(*args, **options)
        except Reject as refused:
            reason = refused.args[0]
            log.warning("retry not taken: its message comes again", reason=str(reason))
            raise Reject(reason, requeue=True) from refused


def _add_task(app: Celery, handler: Handler[ContextT], context: PerProcess[ContextT]) -> None:
    route = route_of(handler.message)
    if route is None:
        raise TypeError(f"{handler.message.__name__} has a handler but no queue in routes.py")

    def run(task: Task[..., None], message: dict[str, Any]) -> None:
        received = handler.message.model_validate(message)
        with (
            structlog.contextvars.bound_contextvars(
                task=route.task, task_id=task.request.id, **subject_of(message)
            ),
            recorded(task.request, message),
        ):
            handler.run(context.get(), received)

    app.task(
        name=route.task,
        bind=True,
        base=_Task,
        shared=False,  # else every other app of the process would have it too
        autoretry_for=(TransientError,),
        retry_backoff=2,
        retry_backoff_max=40,
        retry_jitter=True,
        max_retries=None if route.patient else 3,
    )(run)


def _beat_schedule() -> dict[str, dict[str, Any]]:
    return {
        route.task: {
            "task": route.task,
            "schedule": beat.every_s,
            "kwargs": {"message": beat.message.model_dump(mode="json")},
            "options": {
                "queue": queue_of(route.queue),
                "declare": [],
                "expires": route.expires_s,
            },
        }
        for beat in BEATS
        if (route := route_of(type(beat.message))) is not None
    }
