"""What every part of maintenance works with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from pipeline.broker import Publish
from pipeline.catalog import Catalog
from pipeline.storage import ObjectStore
from services.maintenance.settings import MaintenanceSettings


@dataclass(frozen=True)
class MaintenanceContext:
    catalog: Catalog
    store: ObjectStore
    publish: Publish
    settings: MaintenanceSettings
    clock: Callable[[], datetime]
