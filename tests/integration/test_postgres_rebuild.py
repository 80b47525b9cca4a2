"""A server's catalog made anew in place, from a folder and from S3; kept by a kill."""

from __future__ import annotations

import io
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path

import pytest
from sqlalchemy import text

from pipeline import keys
from pipeline.catalog import Catalog, open_catalog
from pipeline.catalog.cameras import PollEnd
from pipeline.catalog.drops import DropFilter
from pipeline.catalog.engine import make_engine
from pipeline.catalog.images import Found, ImageFilter, NewImage
from pipeline.catalog.labeling.tasks import Considered
from pipeline.catalog.renewal import renewed
from pipeline.errors import CatalogError, UserError
from pipeline.records import ImageState, Outcome
from pipeline.settings import PipelineSettings
from pipeline.storage import StoredObject, open_store
from services.maintenance.audit import audit
from services.maintenance.erasure import delete_image
from services.maintenance.rebuild import Rebuilt, rebuild_catalog
from services.scheduler.sources import save_camera
from tests.buckets import make_buckets
from tests.integration.test_rebuild import (
    STORED_AGAIN,
    fill,
    list_cameras,
    list_drops,
    list_images,
    list_tombstones,
)
from tests.revisions import HERE, revise, say
from tests.servers import Server, administer, fresh_database, migrate_catalog
from tests.stages import CAMERA, START, Stages, draw
from traboule.__main__ import run_command
from traboule.rebuilding import rebuild_in_place

pytestmark = pytest.mark.integration

EXPIRED = "quai-20260101T000000Z-00000000"


@pytest.fixture
def database(postgres_server: Server) -> Iterator[str]:
    with fresh_database(postgres_server) as url:
        migrate_catalog(url)
        yield url


@pytest.fixture(params=["folder", "s3"])
def settings(request: pytest.FixtureRequest, database: str, tmp_path: Path) -> PipelineSettings:
    if request.param == "s3":
        store_url = make_buckets(request.getfixturevalue("minio_server").url)
    else:
        store_url = (tmp_path / "store").as_uri()
    return PipelineSettings(broker_url="memory://", store_url=store_url, catalog_url=database)


@pytest.fixture
def in_a_folder(database: str, tmp_path: Path) -> PipelineSettings:
    store_url = (tmp_path / "store").as_uri()
    return PipelineSettings(broker_url="memory://", store_url=store_url, catalog_url=database)


def opened(settings: PipelineSettings) -> Stages:
    return Stages(open_catalog(settings.catalog_url), open_store(settings.store_url))


def list_all(catalog: Catalog) -> list[object]:
    def come_back(state: str) -> str:
        return "stored" if state in STORED_AGAIN else state

    lists = (list_images(catalog, come_back), list_drops(catalog))
    return [*lists, list_tombstones(catalog), list_cameras(catalog), catalog.counters.totals()]


def fill_a_little(stages: Stages) -> dict[str, str]:
    """A detected image, an erased one, a near-duplicate and one that waits, of one camera."""
    save_camera(stages.catalog, stages.store, CAMERA, START)
    near = draw(1)
    made = {"detected": stages.keep(near), "dropped": stages.keep(near + b"one byte more")}
    made["erased"] = stages.keep(draw(2))
    delete_image(stages.maintenance, made["erased"], "asked to")
    stages.detecting = False
    made["stored"] = stages.keep(draw(3))
    return made


def expire(catalog: Catalog, image_id: str = EXPIRED, sha256: str = "ee") -> None:
    catalog.images.begin(NewImage(image_id, "quai", sha256, START), START)
    assert catalog.images.mark_undetected(image_id, "not detected within 24 h", START)


def test_catalog_made_anew_lists_the_same(settings: PipelineSettings) -> None:
    stages = opened(settings)
    with closing(stages.catalog) as catalog:
        fill(stages)
        expire(catalog)
        catalog.counters.add("quai", "kept", START)
        catalog.slots.claim("h", 1, "dead", START, START + timedelta(days=1))
        expected, objects = list_all(catalog), stages.keys()

    rebuilt = rebuild_in_place(settings)

    assert rebuilt == Rebuilt(cameras=2, tombstones=4, detected=4, stored=6, dropped=2)
    stages = opened(settings)
    with closing(stages.catalog) as catalog:
        assert list_all(catalog) == expected
        assert stages.row(EXPIRED).state == ImageState.EXPIRED
        [undetected] = catalog.drops.search(DropFilter(outcome=Outcome.UNDETECTED.value))
        assert undetected.image_id == EXPIRED
        assert catalog.slots.free("h", 1, START) == 1
        assert stages.keys() == objects, "rebuilding changes nothing in the store"
        assert audit(catalog, stages.store).is_sound


def test_what_the_catalog_alone_says_wrong_is_put_right(in_a_folder: PipelineSettings) -> None:
    stages = opened(in_a_folder)
    with closing(stages.catalog) as catalog:
        made = fill_a_little(stages)
        expected = list_all(catalog)
        with catalog.engine.begin() as connection:
            connection.execute(
                text("UPDATE images SET state = 'expired' WHERE id = :id"),
                {"id": made["detected"]},
            )
            connection.execute(text("UPDATE images SET faces = 77, look = NULL"))
            connection.execute(text("DELETE FROM tombstones"))
            connection.execute(text("UPDATE cameras SET id = 'gone'"))
        expire(catalog, made["erased"], "an erased one's")
    rebuild_in_place(in_a_folder)
    with closing(open_catalog(in_a_folder.catalog_url)) as catalog:
        now = list_all(catalog)
        assert now[:4] == expected[:4]
        assert catalog.images.get(made["erased"]) is None


def test_annotations_come_from_the_store_and_labeling_tasks_stay(
    in_a_folder: PipelineSettings,
) -> None:
    stages = opened(in_a_folder)
    with closing(stages.catalog) as catalog:
        made = fill_a_little(stages)
        here = revise("5", at_s=1, image=made["detected"])
        say(catalog, stages.store, here)
        catalog.annotations.record(revise("6", image=made["detected"]))  # of no object
        for number, image in enumerate((made["detected"], made["stored"], made["erased"])):
            about = Considered(image, "quai", keys.day_of(image))
            catalog.labeling.adopt(HERE, about, 11 + number, START)
        waiting = Considered(made["dropped"], "quai", keys.day_of(made["dropped"]))
        catalog.labeling.consider(HERE, waiting, START)
        catalog.labeling_projects.follow(HERE, START)
        catalog.labeling_projects.compared(HERE, START)
        catalog.labeling_projects.contacted(HERE, START)
    assert rebuild_in_place(in_a_folder).annotations == 1
    with closing(open_catalog(in_a_folder.catalog_url)) as catalog:
        [row] = catalog.annotations.of_image(made["detected"])
        assert (row.annotation, row.revision) == ("5", here.revision)
        assert list(catalog.labeling.sent_ids(HERE)) == [
            (11, made["detected"]),
            (12, made["stored"]),
        ]
        assert catalog.labeling.count_by_state(HERE) == {"sent": 2, "waiting": 1}
        project = catalog.labeling_projects.get(HERE)
        assert project is not None
        assert (project.followed_to, project.compared_at) == (None, None), "followed anew"
        assert project.contacted_at == START


def test_camera_keeps_what_its_last_poll_said(in_a_folder: PipelineSettings) -> None:
    stages = opened(in_a_folder)
    due_at = START + timedelta(minutes=7)
    with closing(stages.catalog) as catalog:
        fill_a_little(stages)
        row = catalog.cameras.get("quai")
        assert row is not None
        until = row.due_at + timedelta(seconds=45)
        assert catalog.cameras.claim("quai", "token", row.due_at, until)
        catalog.cameras.finish("quai", "token", PollEnd(Outcome.KEPT, START, due_at, etag='"e"'))
    rebuild_in_place(in_a_folder)
    with closing(open_catalog(in_a_folder.catalog_url)) as catalog:
        row = catalog.cameras.get("quai")
        assert row is not None
        assert (row.due_at, row.etag, row.polls) == (due_at, '"e"', 1)


def rebuild_and_die(settings: PipelineSettings, after: int) -> None:
    """Killed at the key that comes `after` that many others."""
    left = after

    def count_down(key: str) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    with renewed(settings.catalog_url) as catalog:
        rebuild_catalog(catalog, open_store(settings.store_url), START, count_down)


def test_kill_in_the_middle_leaves_the_old_catalog(in_a_folder: PipelineSettings) -> None:
    stages = opened(in_a_folder)
    with closing(stages.catalog) as catalog:
        fill_a_little(stages)
        expected = list_images(catalog)
    process = get_context("spawn").Process(target=rebuild_and_die, args=(in_a_folder, 3))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL, "the fault never happened"
    with closing(open_catalog(in_a_folder.catalog_url)) as catalog:
        assert list_images(catalog) == expected
    assert rebuild_in_place(in_a_folder).detected == 1


def test_damaged_object_is_named_and_the_old_catalog_stays(in_a_folder: PipelineSettings) -> None:
    stages = opened(in_a_folder)
    with closing(stages.catalog) as catalog:
        fill_a_little(stages)
        expected = list_images(catalog)
        key = next(key for key in stages.keys(keys.FRAMES) if key.endswith(".json"))
        stages.store.put(key, StoredObject(b"{", "application/json"))
    with pytest.raises(UserError, match=f"{key} in the object store is damaged"):
        rebuild_in_place(in_a_folder)
    with closing(open_catalog(in_a_folder.catalog_url)) as catalog:
        assert list_images(catalog) == expected


def test_rebuilding_beside_a_pipeline_is_refused_and_beside_a_reader_is_not(
    postgres_server: Server, in_a_folder: PipelineSettings
) -> None:
    """As roles that may do what is granted to them, and see of others no more than anybody."""
    database = in_a_folder.catalog_url.rpartition("/")[2]
    roles = ("upkeep", "detection", "cli")
    everybody = ", ".join(roles)
    owner = make_engine(in_a_folder.catalog_url)
    try:
        for role in roles:
            administer(postgres_server, f"CREATE ROLE {role} LOGIN PASSWORD 'secret'")
        with owner.begin() as connection:
            for rights in (
                "SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public",
                "USAGE ON ALL SEQUENCES IN SCHEMA public",
                f'CONNECT ON DATABASE "{database}"',
            ):
                connection.execute(text(f"GRANT {rights} TO {everybody}"))
            connection.execute(text(f'REVOKE ALL ON DATABASE "{database}" FROM PUBLIC'))
        owner.dispose()
        urls = {one: postgres_server.url_of(one, "secret", f"/{database}") for one in roles}
        settings = in_a_folder.model_copy(update={"catalog_url": urls["upkeep"]})
        with closing(open_catalog(urls["cli"])) as reader:
            with closing(open_catalog(urls["detection"])) as worker:
                worker.cameras.all()
                reader.cameras.all()
                with pytest.raises(UserError, match="in use by detection; stop the pipeline"):
                    rebuild_in_place(settings)
            assert rebuild_in_place(settings) == Rebuilt()
    finally:
        owner.dispose()
        with owner.begin() as connection:
            connection.execute(text(f"DROP OWNED BY {everybody}"))
        administer(postgres_server, f"DROP ROLE {everybody}")


def test_others_read_the_old_catalog_and_write_nothing_meanwhile(
    in_a_folder: PipelineSettings,
) -> None:
    url = in_a_folder.catalog_url
    stages = opened(in_a_folder)
    with closing(stages.catalog):
        image = stages.keep(draw(1))
    with renewed(url) as empty, ThreadPoolExecutor(2) as pool, closing(open_catalog(url)) as other:
        assert empty.images.search(ImageFilter()) == []
        assert [row.id for row in other.images.search(ImageFilter())] == [image]
        begun = pool.submit(other.images.begin, NewImage("b", "b", "ff", START), START)
        found = pool.submit(other.images.mark_detected, image, Found(START, 0, 0))
        for write in (begun, found):
            with pytest.raises(CatalogError, match="lock timeout"):
                write.result()


def test_command_says_what_was_rebuilt(
    in_a_folder: PipelineSettings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stages = opened(in_a_folder)
    with closing(stages.catalog):
        fill_a_little(stages)
    for piece in ("broker", "store", "catalog"):
        monkeypatch.setenv(f"PIPELINE_{piece.upper()}_URL", getattr(in_a_folder, f"{piece}_url"))
    capsys.readouterr()
    assert run_command(["rebuild-catalog", "--yes"]) == 0
    assert capsys.readouterr().out == (
        "rebuilt: 1 cameras, 1 images detected, 1 waiting, 1 near-duplicates, "
        "0 annotations, 1 tombstones, 0 marks left out\n"
    )
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert run_command(["rebuild-catalog"]) == 1
    asked = capsys.readouterr().err
    assert "--yes" in asked
    assert in_a_folder.catalog_url.partition("@")[0] not in asked
