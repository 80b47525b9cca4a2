"""What happens every second: lapsed polls are counted, due cameras are claimed and polled."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from pipeline.broker import Publish
from pipeline.cadence import due_after_failure
from pipeline.catalog import Catalog
from pipeline.catalog.cameras import PollEnd
from pipeline.catalog.tables import CameraRow
from pipeline.errors import BrokerError
from pipeline.logs import get_logger
from pipeline.messages import PollDue
from pipeline.records import Camera, Outcome
from pipeline.storage import ObjectStore
from services.scheduler.settings import SchedulerSettings

log = get_logger(__name__)


@dataclass(frozen=True)
class SchedulerContext:
    catalog: Catalog
    store: ObjectStore
    publish: Publish
    settings: SchedulerSettings
    clock: Callable[[], datetime]


def tick(context: SchedulerContext) -> int:
    """How many polls were sent. Any number of schedulers may tick at once."""
    now = context.clock()
    for row in context.catalog.cameras.with_lapsed_lease(now):
        _count_expired(context, row, now)
    due = context.catalog.cameras.due(now, context.settings.polls_per_tick)
    return sum(_send_poll(context, row, now) for row in due)


def _count_expired(context: SchedulerContext, row: CameraRow, now: datetime) -> None:
    camera = Camera.model_validate(row.record)
    end = PollEnd(
        outcome=Outcome.EXPIRED,
        reason=f"no outcome within {context.settings.lease_s:.0f} s",
        at=now,
        due_at=due_after_failure(camera, now, row.failures + 1),
        failed=True,
    )
    if context.catalog.cameras.finish(row.id, row.lease_token or "", end):
        log.warning("poll expired", camera=row.id)


def _send_poll(context: SchedulerContext, row: CameraRow, now: datetime) -> bool:
    token = uuid.uuid4().hex
    until = now + timedelta(seconds=context.settings.lease_s)
    slots = _slots_for(row.host, context.settings)
    if not context.catalog.slots.claim(row.host, slots, token, now, until):
        return False  # stays due, for the next tick
    if not context.catalog.cameras.claim(row.id, token, now, until):
        context.catalog.slots.release(token)
        return False
    try:
        context.publish(PollDue(camera=row.id, token=token))
    except BrokerError as error:
        context.catalog.cameras.unclaim(row.id, token)
        context.catalog.slots.release(token)
        log.warning("poll not sent", camera=row.id, reason=str(error))
        return False
    return True


def _slots_for(host: str, settings: SchedulerSettings) -> int:
    name = host.rpartition(":")[0] or host
    loopback = name in {"localhost", "[::1]"} or name.startswith("127.")
    return settings.slots_on_loopback if loopback else settings.slots_per_host
