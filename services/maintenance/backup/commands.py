"""The three steps that infra/backup/ calls: the store out as a tar, back in, and the agreement."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import closing

from pipeline.cadence import utc_now
from pipeline.catalog import open_catalog
from pipeline.settings import PipelineSettings
from pipeline.storage import open_store
from services.maintenance.backup.archive import read_archive, write_archive
from services.maintenance.backup.progress import Meter, say
from services.maintenance.backup.reconciliation import reconcile
from services.maintenance.context import MaintenanceContext
from services.maintenance.settings import MaintenanceSettings


def write(settings: PipelineSettings) -> None:
    meter = Meter("copied")
    write_archive(open_store(settings.store_url), sys.stdout.buffer, meter)
    meter.say()


def read(settings: PipelineSettings) -> None:
    meter = Meter("put back")
    read_archive(open_store(settings.store_url), sys.stdin.buffer, meter)
    meter.say()


def make_agree(settings: PipelineSettings) -> None:
    store = open_store(settings.store_url)
    with closing(open_catalog(settings.catalog_url)) as catalog:
        done = reconcile(
            MaintenanceContext(catalog, store, lambda _: None, MaintenanceSettings(), utc_now)
        )
    say(
        f"  {done.detected} detected after the catalog was copied; {done.given_up} given up, since "
        f"their frames are in no backup; {done.cameras} cameras changed"
    )


COMMANDS: Mapping[str, Callable[[PipelineSettings], None]] = {
    "write": write,
    "read": read,
    "reconcile": make_agree,
}
