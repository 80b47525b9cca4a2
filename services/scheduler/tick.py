"""What happens every second: lapsed polls are counted, due cameras are claimed and polled."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from pipeline.broker import Publish
from pipeline.cadence import due_after_failure
from pipeline.catalog import Catalog
from pipeline.catalog.cameras import PollEnd, camera_of
from pipeline.catalog.tables import CameraRow
from pipeline.connections import is_local
from pipeline.errors import BrokerError
from pipeline.logs import get_logger
from pipeline.messages import PollDue
from pipeline.records import Outcome
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
    sent = 0
    try:
        for host in context.catalog.cameras.due_hosts(now):
            for row in _due(context, host, now):
                sent += _send_poll(context, row)
    except BrokerError as error:  # the others would wait for it one after another
        log.warning("polls not sent", reason=str(error))
    return sent


def _due(context: SchedulerContext, host: str, now: datetime) -> Sequence[CameraRow]:
    """The host's longest due cameras, as many as it has slots free."""
    slots = _slots_for(host, context.settings)
    free = context.catalog.slots.free(host, slots, now)
    return context.catalog.cameras.due(host, now, limit=free)


def count_lost_polls(context: SchedulerContext) -> None:
    """For a process that knows nobody polls now: the leases it finds were left by a dead one."""
    now = context.clock()
    for row in context.catalog.cameras.leased_all():
        end = PollEnd(
            outcome=Outcome.EXPIRED,
            at=now,
            due_at=now,
            reason="the pipeline stopped during the poll",
            etag=row.etag,
            last_modified=row.last_modified,
        )
        context.catalog.cameras.finish(row.id, row.lease_token or "", end)
    context.catalog.slots.release_all()


def _count_expired(context: SchedulerContext, row: CameraRow, now: datetime) -> None:
    end = PollEnd(
        outcome=Outcome.EXPIRED,
        reason=f"no outcome within {context.settings.lease_s:.0f} s",
        at=now,
        due_at=due_after_failure(camera_of(row), now, row.failures + 1),
        failed=True,
    )
    if context.catalog.cameras.finish(row.id, row.lease_token or "", end):
        log.warning("poll expired", camera=row.id)


def _send_poll(context: SchedulerContext, row: CameraRow) -> bool:
    """Whether it was ours to poll. BrokerError when the poll was not taken: it stays due."""
    token, now = uuid.uuid4().hex, context.clock()
    until = now + timedelta(seconds=context.settings.lease_s)
    slots = _slots_for(row.host, context.settings)
    if not context.catalog.slots.claim(row.host, slots, token, now, until):
        return False  # stays due, for the next tick
    if not context.catalog.cameras.claim(row.id, token, now, until):
        context.catalog.slots.release(token)
        return False
    try:
        context.publish(PollDue(camera=row.id, token=token))
    except BrokerError:
        context.catalog.cameras.unclaim(row.id, token)
        context.catalog.slots.release(token)
        raise
    return True


def _slots_for(host: str, settings: SchedulerSettings) -> int:
    """Other people's hosts are spared."""
    name = urlsplit(f"//{host}").hostname or ""
    return settings.slots_per_own_host if is_local(name) else settings.slots_per_host
