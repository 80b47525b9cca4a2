"""What fell between, and what has had its time: a list of sweeps, each safe to repeat."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from pipeline.frames import announce
from pipeline.logs import get_logger
from services.maintenance.completion import complete_dropped, complete_frames, complete_storing
from services.maintenance.context import (
    MaintenanceContext,
    SweepOver,
    ending_within,
    left_for_the_next_sweep,
)
from services.maintenance.erasure import repeat_deletes
from services.maintenance.expiry import expire_dropped, expire_frames

log = get_logger(__name__)


def sweep(context: MaintenanceContext) -> None:
    """Every step, or as many as there is time for: the next sweep goes on with those after it."""
    first, context.rota.first = context.rota.first, 0
    with ending_within(context.settings.sweep_s):
        for place in range(first, first + len(SWEEPS)):
            step = SWEEPS[place % len(SWEEPS)]
            try:
                with left_for_the_next_sweep(step.__name__):
                    step(context)
            except SweepOver as over:
                has_begun = str(over) != step.__name__
                context.rota.first = (place + has_begun) % len(SWEEPS)
                log.warning("the sweep's time is over", step=step.__name__)
                return


def announce_waiting(context: MaintenanceContext) -> None:
    """Announce images whose next stage has no result; hold back while many are under way."""
    now = context.clock()
    room = context.settings.max_in_flight - context.catalog.work.in_flight(now)
    for image_id in context.catalog.work.take_due(now, max(0, room)):
        if not announce(context.publish, image_id):
            return
        log.info("announced again", image=image_id)


def remove_leftovers(context: MaintenanceContext) -> None:
    context.store.remove_leftovers()


def forget_drops(context: MaintenanceContext) -> None:
    listed = timedelta(days=context.settings.drops_listed_days)
    context.catalog.drops.forget_before(context.clock() - listed)


# What must not wait comes first: unblurred pictures and erased ones.
SWEEPS: tuple[Callable[[MaintenanceContext], None], ...] = (
    expire_frames,
    repeat_deletes,
    complete_storing,
    complete_frames,
    complete_dropped,
    expire_dropped,
    remove_leftovers,
    announce_waiting,
    forget_drops,
)
