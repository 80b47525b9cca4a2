"""A catalog copied first and a store copied later, without raw/."""

from __future__ import annotations

import io
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pipeline import keys
from pipeline.catalog.drops import DropFilter
from pipeline.catalog.images import ImageFilter
from pipeline.records import ImageState, Outcome
from pipeline.storage import StoredObject, open_store
from services.maintenance.audit import audit
from services.maintenance.backup.archive import read_archive, write_archive
from services.maintenance.backup.reconciliation import REASON, Reconciled, reconcile
from services.maintenance.erasure import delete_image
from services.maintenance.restoring import restore_drop
from services.scheduler.sources import remove_camera, save_camera
from tests.stages import CAMERA, Stages, draw, open_stages

NOTHING = Reconciled(cameras=0, detected=0, given_up=0, forgotten=0)
Meanwhile = Callable[[Stages], object]


@pytest.fixture
def restored(stages: Stages, tmp_path: Path) -> Iterator[Callable[[Meanwhile], Stages]]:
    """Copies the catalog, lets something happen, copies the store: and puts both elsewhere."""
    opened: list[Stages] = []

    def restore(meanwhile: Meanwhile = lambda stages: None) -> Stages:
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        with closing(sqlite3.connect(tmp_path / "catalog.sqlite3")) as catalog:
            catalog.execute("VACUUM INTO ?", (str(elsewhere / "catalog.sqlite3"),))
        meanwhile(stages)
        file = io.BytesIO()
        write_archive(stages.store, file, lambda *_: None)
        read_archive(
            open_store((elsewhere / "store").as_uri()),
            io.BytesIO(file.getvalue()),
            lambda *_: None,
        )
        opened.append(open_stages(elsewhere, stages.seconds))
        return opened[-1]

    yield restore
    for each in opened:
        each.catalog.close()
    shutil.rmtree(tmp_path / "elsewhere", ignore_errors=True)


def assert_sound(stages: Stages) -> None:
    assert audit(stages.catalog, stages.store).found == {}


def detected(stages: Stages, seed: int) -> str:
    stages.detecting = True
    image = stages.keep(draw(seed))
    stages.detecting = False
    return image


def detect_all(stages: Stages) -> None:
    stages.detecting = True
    stages.take_up()


def test_stack_at_rest_needs_nothing(stages: Stages, restored: Callable[..., Stages]) -> None:
    save_camera(stages.catalog, stages.store, CAMERA, stages.clock())
    image = detected(stages, 1)
    other = restored()
    assert reconcile(other.maintenance) == NOTHING
    assert other.row(image).state == ImageState.DETECTED
    assert_sound(other)


def test_frame_that_waited_is_given_up_and_listed(
    stages: Stages, restored: Callable[..., Stages]
) -> None:
    image = stages.keep(draw(1))
    other = restored()
    assert reconcile(other.maintenance).given_up == 1
    assert (other.row(image).state, other.row(image).reason) == (ImageState.EXPIRED, REASON)
    [listed] = other.catalog.drops.search(DropFilter(outcome=Outcome.UNDETECTED))
    assert (listed.image_id, listed.reason) == (image, REASON)
    assert_sound(other)


def test_near_duplicate_that_waited_can_no_longer_be_restored(
    stages: Stages, restored: Callable[..., Stages]
) -> None:
    detected(stages, 1)
    dropped = stages.keep(draw(1, noise=1))
    other = restored()
    assert reconcile(other.maintenance).given_up == 1
    assert other.row(dropped).state == ImageState.EXPIRED
    assert other.catalog.drops.search(DropFilter(restorable=True)) == []
    assert_sound(other)


@pytest.mark.parametrize("begun", ["before", "after"])
def test_image_detected_after_the_catalog_was_copied_is_taken_up(
    stages: Stages, restored: Callable[..., Stages], begun: str
) -> None:
    if begun == "before":
        stages.keep(draw(1))
        other = restored(detect_all)
    else:
        other = restored(lambda stages: detected(stages, 1))
    [image] = {keys.image_of(key) for key in other.keys(keys.IMAGES)}
    done = reconcile(other.maintenance)
    assert (done.detected, done.given_up) == (1, 0)
    assert other.row(image).state == ImageState.DETECTED
    assert other.row(image).faces == 1
    assert_sound(other)


def test_near_duplicate_restored_and_detected_meanwhile_is_taken_up(
    stages: Stages, restored: Callable[..., Stages]
) -> None:
    detected(stages, 1)
    dropped = stages.keep(draw(1, noise=1))

    def bring_back(stages: Stages) -> None:
        stages.detecting = True
        restore_drop(stages.maintenance, dropped)

    other = restored(bring_back)
    assert reconcile(other.maintenance).detected == 1
    assert other.row(dropped).state == ImageState.DETECTED
    assert_sound(other)


def test_image_erased_after_the_catalog_was_copied_stays_erased(
    stages: Stages, restored: Callable[..., Stages]
) -> None:
    image = detected(stages, 1)
    other = restored(lambda stages: delete_image(stages.maintenance, image))
    reconcile(other.maintenance)
    assert other.catalog.images.get(image) is None
    assert other.take(draw(1)).outcome is Outcome.ERASED
    assert_sound(other)


def test_image_erased_while_the_store_was_copied_stays_erased(
    stages: Stages, restored: Callable[..., Stages]
) -> None:
    image = detected(stages, 1)
    whole = {key: stages.store.get(key) for key in stages.keys(keys.IMAGES)}
    other = restored(lambda stages: delete_image(stages.maintenance, image))
    for key, stored in whole.items():  # copied before it was erased
        other.store.put(key, stored)
    reconcile(other.maintenance)
    assert other.keys() == [keys.tombstone(image)]
    assert_sound(other)


def test_half_stored_row_makes_room_for_the_same_bytes(
    stages: Stages, restored: Callable[..., Stages]
) -> None:
    image = stages.keep(draw(1))
    half = stages.row(image)
    with stages.catalog.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE images SET state = 'storing'")

    def come_back(stages: Stages) -> None:
        stages.catalog.images.remove(image)
        detected(stages, 1)

    other = restored(come_back)
    done = reconcile(other.maintenance)
    assert (done.forgotten, done.detected) == (1, 1)
    [row] = other.catalog.images.search(ImageFilter(limit=None))
    assert row.id != half.id
    assert row.state == ImageState.DETECTED


def test_list_of_cameras_is_the_stores(stages: Stages, restored: Callable[..., Stages]) -> None:
    slower = CAMERA.model_copy(update={"every_s": 300.0})
    kept, gone = (CAMERA.model_copy(update={"id": name}) for name in ("pont", "place"))
    for camera in (CAMERA, kept, gone):
        save_camera(stages.catalog, stages.store, camera, stages.clock())

    def change(stages: Stages) -> None:
        save_camera(stages.catalog, stages.store, slower, stages.clock())
        remove_camera(stages.catalog, stages.store, gone.id)

    other = restored(change)
    assert reconcile(other.maintenance).cameras == 2
    assert [row.id for row in other.catalog.cameras.all()] == ["pont", "quai"]
    quai = other.catalog.cameras.get("quai")
    assert quai is not None
    assert quai.record["every_s"] == 300.0


def test_damaged_source_loses_no_camera(stages: Stages, restored: Callable[..., Stages]) -> None:
    save_camera(stages.catalog, stages.store, CAMERA, stages.clock())
    damage = StoredObject(b"{", "application/json")
    other = restored(lambda stages: stages.store.put(keys.source(CAMERA.id), damage))
    assert reconcile(other.maintenance).cameras == 0
    assert other.catalog.cameras.get(CAMERA.id) is not None


def test_reconciling_twice_changes_nothing_more(
    stages: Stages, restored: Callable[..., Stages]
) -> None:
    stages.keep(draw(1))
    other = restored(lambda stages: detected(stages, 2))
    assert reconcile(other.maintenance) != NOTHING
    assert reconcile(other.maintenance) == NOTHING
