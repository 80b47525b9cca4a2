"""What every part of labeling works with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from pipeline.broker import Publish
from pipeline.catalog import Catalog
from pipeline.storage import ObjectStore
from services.labeling.connection import Connection
from services.labeling.settings import LabelingSettings

if TYPE_CHECKING:
    from services.labeling.comparing import Comparison


@dataclass
class Progress:
    """What this process remembers from one run to the next, and could do without. `quiet_to`: when
    the newest change followed was made; `quiet_since`: since when it is the newest, by our clock;
    `settled`: what was changed before it can no longer turn up late."""

    quiet_to: datetime | None = None
    quiet_since: datetime | None = None
    settled: bool = False
    comparison: Comparison | None = None  # begun, and not at its end yet


@dataclass(frozen=True)
class LabelingContext:
    catalog: Catalog
    store: ObjectStore
    publish: Publish
    settings: LabelingSettings
    clock: Callable[[], datetime]
    connection: Connection
    progress: Progress = field(default_factory=Progress)
