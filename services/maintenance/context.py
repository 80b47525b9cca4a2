"""What every part of maintenance works with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from pydantic import ValidationError

from pipeline.broker import Publish
from pipeline.catalog import Catalog
from pipeline.errors import PermanentError, TransientError
from pipeline.logs import get_logger
from pipeline.storage import ObjectStore
from services.maintenance.settings import MaintenanceSettings

log = get_logger(__name__)


@dataclass(frozen=True)
class MaintenanceContext:
    catalog: Catalog
    store: ObjectStore
    publish: Publish
    settings: MaintenanceSettings
    clock: Callable[[], datetime]


@contextmanager
def left_for_the_next_sweep(what: str) -> Iterator[None]:
    """One damaged object, or a passing fault, must not hold up all the others."""
    try:
        yield
    except (TransientError, PermanentError, ValidationError) as error:
        log.error("left for the next sweep", what=what, reason=str(error))
