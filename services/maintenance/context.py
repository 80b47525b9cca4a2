"""What every part of maintenance works with."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime

from pydantic import ValidationError

from pipeline.broker import Publish
from pipeline.catalog import Catalog
from pipeline.errors import PermanentError, PipelineError, TransientError
from pipeline.logs import get_logger
from pipeline.storage import ObjectStore
from services.maintenance.settings import MaintenanceSettings

log = get_logger(__name__)

_ends_at = ContextVar("ends_at", default=math.inf)


class SweepOver(PipelineError):
    """The sweep has had its time; the message says before what."""


@dataclass
class Rota:
    """Which of the sweep's steps is the first, the next time."""

    first: int = 0


@dataclass(frozen=True)
class MaintenanceContext:
    catalog: Catalog
    store: ObjectStore
    publish: Publish
    settings: MaintenanceSettings
    clock: Callable[[], datetime]
    rota: Rota = field(default_factory=Rota)


@contextmanager
def ending_within(seconds: float) -> Iterator[None]:
    """What is done meanwhile raises SweepOver once the time is over."""
    token = _ends_at.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _ends_at.reset(token)


@contextmanager
def left_for_the_next_sweep(what: str) -> Iterator[None]:
    """One damaged object, or a passing fault, must not hold up all the others."""
    if time.monotonic() > _ends_at.get():
        raise SweepOver(what)
    try:
        yield
    except (TransientError, PermanentError, ValidationError) as error:
        log.error("left for the next sweep", what=what, reason=str(error))
