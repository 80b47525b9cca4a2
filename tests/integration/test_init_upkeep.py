"""What a person does with the rights of `upkeep` and of `cli`, after stages did with theirs."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from pipeline.cadence import utc_now
from pipeline.catalog import open_catalog
from pipeline.settings import PipelineSettings
from pipeline.storage import open_store
from services.maintenance.audit import audit
from services.maintenance.backup.archive import write_archive
from tests.integration.init_stack import Stack, open_database, start_stack
from tests.unit.infra.init.exercises import Means, play_all
from tests.unit.infra.init.labeling_exercises import OWNER
from traboule.rebuilding import rebuild_in_place
from traboule.status import read_status
from traboule.workspace import Workspace

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

STAGES = ("scheduler", "capture", "detection", "labeling", "maintenance")


def test_stages_work_and_a_person_looks_on_and_rebuilds_each_with_its_rights_alone(
    tmp_path: Path,
) -> None:
    with start_stack(tmp_path) as stack:
        stack.do("servers")
        play_all_parts(stack)
        rebuilt = rebuild_in_place(addresses(stack, "upkeep"))
        assert rebuilt.detected > 1, "nothing was there"
        assert rebuilt.tombstones > 1, "nothing was there"
        store = open_store(stack.store_url("upkeep"))
        archived = write_archive(store, io.BytesIO(), lambda *_: None)
        assert archived["images"] == archived["detections"] == rebuilt.detected
        look_on(stack, rebuilt.detected)


def play_all_parts(stack: Stack) -> None:
    catalogs = {name: open_catalog(stack.catalog_url(name)) for name in STAGES}
    cast = {name: Means(catalogs[name], open_store(stack.store_url(name))) for name in STAGES}
    owned = open_store(stack.owner_of_store())
    play_all(cast | {OWNER: Means(catalogs["maintenance"], owned)})
    for catalog in catalogs.values():
        catalog.close()
    with open_database(stack.catalog_url("cli")) as connection:
        counted = connection.execute("SELECT count(*) FROM images").fetchone()
    assert counted is not None
    assert counted[0] > 5, "nothing was done"


def look_on(stack: Stack, detected: int) -> None:
    reader = addresses(stack, "cli")
    catalog, store = open_catalog(reader.catalog_url), open_store(reader.store_url)
    assert audit(catalog, store).is_sound
    status = read_status(Workspace(None, reader, catalog, store), utc_now())
    assert status.images["detected"] == detected
    catalog.close()


def addresses(stack: Stack, user: str) -> PipelineSettings:
    return PipelineSettings(
        broker_url=stack.broker_url(user),
        store_url=stack.store_url(user),
        catalog_url=stack.catalog_url(user),
    )
