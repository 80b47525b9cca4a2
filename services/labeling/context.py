"""What every part of labeling works with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from pipeline.broker import Publish
from pipeline.catalog import Catalog
from pipeline.storage import ObjectStore
from services.labeling.settings import LabelingSettings
from services.labeling.studio.connection import Connection

if TYPE_CHECKING:
    from services.labeling.receiving.comparing import Comparison
    from services.labeling.receiving.cursor import ChangeCursor


@dataclass
class Progress:
    """What this process remembers from one run to the next, and could do without. `cursor`: how
    far the changes were read; `shown_models`: by project, the version whose predictions are shown
    there."""

    cursor: ChangeCursor | None = None
    comparison: Comparison | None = None  # begun, and not at its end yet
    shown_models: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LabelingContext:
    catalog: Catalog
    store: ObjectStore
    publish: Publish
    settings: LabelingSettings
    clock: Callable[[], datetime]
    connection: Connection
    progress: Progress = field(default_factory=Progress)
