from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from pipeline.catalog import Catalog
from pipeline.catalog.cameras import PollEnd, camera_of
from pipeline.catalog.drops import DropFilter
from pipeline.catalog.images import Description, Drop, Found, ImageFilter, NewImage
from pipeline.catalog.tables import Table
from pipeline.records import Camera, ImageState, Outcome

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
LATER = NOW + timedelta(seconds=45)
LOOK = Description(640, 480, "00" * 8, {"phash": "00" * 8})


def begin(catalog: Catalog, image_id: str = "a-1", sha256: str = "ff") -> str:
    return catalog.images.begin(NewImage(image_id, "a", sha256, NOW), NOW).id


def store(catalog: Catalog, image_id: str = "a-1", sha256: str = "ff") -> None:
    begin(catalog, image_id, sha256)
    assert catalog.images.mark_stored(image_id, LOOK, NOW, NOW)


def test_schema_is_what_the_migrations_make(catalog: Catalog) -> None:
    with catalog.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Table.metadata) == []


def test_counter_added_by_concurrent_writers_loses_nothing(catalog: Catalog) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: catalog.counters.add("a", "kept", NOW), range(400)))
    assert catalog.counters.totals() == {"a": {"kept": 400}}


def test_begin_by_concurrent_writers_makes_one_row(catalog: Catalog) -> None:
    with ThreadPoolExecutor(8) as pool:
        ids = set(pool.map(lambda n: begin(catalog, f"a-{n}"), range(40)))
    assert len(ids) == 1
    assert len(catalog.images.search(ImageFilter(limit=None))) == 1


def test_camera_due_is_claimed_by_one_of_many(catalog: Catalog) -> None:
    catalog.cameras.save(Camera(id="a", url="http://h/a.jpg"), NOW)
    with ThreadPoolExecutor(8) as pool:
        claimed = list(
            pool.map(lambda n: catalog.cameras.claim("a", str(n), NOW, LATER), range(16))
        )
    assert claimed.count(True) == 1


def test_slots_of_a_host_are_never_more_than_allowed(catalog: Catalog) -> None:
    with ThreadPoolExecutor(8) as pool:
        claimed = list(
            pool.map(lambda n: catalog.slots.claim("h", 3, str(n), NOW, LATER), range(16))
        )
    assert claimed.count(True) == 3
    catalog.slots.release(str(claimed.index(True)))
    assert catalog.slots.claim("h", 3, "next", NOW, LATER)


def test_slot_that_ran_out_is_free_again(catalog: Catalog) -> None:
    assert catalog.slots.claim("h", 1, "one", NOW, LATER)
    assert not catalog.slots.claim("h", 1, "two", NOW, LATER)
    assert catalog.slots.claim("h", 1, "two", LATER + timedelta(seconds=1), LATER)


def test_poll_is_finished_once(catalog: Catalog) -> None:
    catalog.cameras.save(Camera(id="a", url="http://h/a.jpg"), NOW)
    catalog.cameras.claim("a", "token", NOW, LATER)
    end = PollEnd(outcome=Outcome.TRUNCATED, at=NOW, due_at=LATER, reason="no end")
    assert catalog.cameras.finish("a", "token", end)
    assert not catalog.cameras.finish("a", "token", end)
    assert catalog.counters.totals() == {"a": {"truncated": 1}}
    row = catalog.cameras.get("a")
    assert row is not None
    assert (row.polls, row.outcome, row.due_at, row.failures) == (1, "truncated", LATER, 0)


def test_camera_is_replaced_if_it_is_what_it_was(catalog: Catalog) -> None:
    one = Camera(id="a", url="http://h/a.jpg", name="Saône", latitude=45.76)
    other = one.model_copy(update={"name": "Rhône"})
    assert not catalog.cameras.replace(one, other, NOW)
    catalog.cameras.save(one, NOW)
    assert not catalog.cameras.replace(other, one, NOW)
    assert catalog.cameras.replace(one, other, NOW)
    row = catalog.cameras.get("a")
    assert row is not None
    assert camera_of(row) == other


def test_listed_camera_is_added_where_there_is_none_and_none_was_removed(catalog: Catalog) -> None:
    camera = Camera(id="a", url="http://h/a.jpg", feed="lyon")
    assert catalog.cameras.add_listed(camera, NOW)
    assert not catalog.cameras.add_listed(camera.model_copy(update={"name": "other"}), NOW)
    [row] = catalog.cameras.all()
    assert (camera_of(row), row.due_at) == (camera, NOW)
    catalog.feeds.mark_known("lyon", "a")
    assert catalog.cameras.remove("a")
    assert not catalog.cameras.add_listed(camera, NOW)
    assert catalog.cameras.add_listed(camera.model_copy(update={"feed": "other"}), NOW)


def test_failed_poll_keeps_the_validators(catalog: Catalog) -> None:
    catalog.cameras.save(Camera(id="a", url="http://h/a.jpg"), NOW)
    catalog.cameras.claim("a", "1", NOW, LATER)
    catalog.cameras.finish("a", "1", PollEnd(outcome=Outcome.KEPT, at=NOW, due_at=NOW, etag='"e"'))
    catalog.cameras.claim("a", "2", NOW, LATER)
    failed = PollEnd(outcome=Outcome.NOT_STORED, at=NOW, due_at=NOW, failed=True)
    catalog.cameras.finish("a", "2", failed)
    row = catalog.cameras.get("a")
    assert row is not None
    assert (row.etag, row.failures) == ('"e"', 1)


def test_image_is_claimed_by_one_of_many(catalog: Catalog) -> None:
    store(catalog)
    with ThreadPoolExecutor(8) as pool:
        claims = list(pool.map(lambda n: catalog.work.claim("a-1", str(n), NOW, LATER), range(16)))
    assert claims.count(True) == 1


def test_image_that_kills_its_worker_is_claimed_three_times(catalog: Catalog) -> None:
    store(catalog)
    at = NOW
    for n in range(3):
        assert catalog.work.claim("a-1", str(n), at, at + timedelta(seconds=45))
        assert not catalog.work.quarantine("a-1", None, "died", at)
        at += timedelta(seconds=60)
    assert not catalog.work.claim("a-1", "4", at, at)
    assert catalog.work.quarantine("a-1", None, "died", at)
    row = catalog.images.get("a-1")
    assert row is not None
    assert row.state == ImageState.QUARANTINED


def test_attempt_given_back_is_not_counted(catalog: Catalog) -> None:
    store(catalog)
    for _ in range(5):
        assert catalog.work.claim("a-1", "t", NOW, LATER)
        catalog.work.give_back("a-1", "t", counted=False)


def test_image_awaiting_a_model_is_announced_later_and_loses_no_attempt(catalog: Catalog) -> None:
    store(catalog)
    for _ in range(5):
        assert catalog.work.claim("a-1", "t", NOW, LATER)
        catalog.work.await_model("a-1", "t", "no model", LATER)
    assert catalog.work.take_due(NOW, 10) == []
    assert catalog.work.take_due(LATER, 10) == ["a-1"]


def test_announcements_of_an_image_come_further_apart(catalog: Catalog) -> None:
    store(catalog)
    at, waits = NOW, []
    for _ in range(3):
        assert catalog.work.take_due(at, 10) == ["a-1"]
        row = catalog.images.get("a-1")
        assert row is not None
        assert row.announce_at is not None
        waits.append(row.announce_at - at)
        at = row.announce_at
    assert waits == sorted(set(waits))


def test_detected_image_is_found_by_its_labels(catalog: Catalog) -> None:
    store(catalog)
    store(catalog, "a-2", "ee")
    assert catalog.images.mark_detected("a-1", Found(NOW, 1, 2, {"face": 1, "car": 2}))
    assert catalog.images.mark_detected("a-1", Found(NOW, 1, 2, {"face": 1, "car": 2}))
    [row] = catalog.images.search(ImageFilter(label="car"))
    assert (row.id, row.faces, row.vehicles) == ("a-1", 1, 2)
    assert {label.label: label.count for label in row.labels} == {"face": 1, "car": 2}


def test_look_is_kept_of_the_newest_four_alone(catalog: Catalog) -> None:
    for n in range(6):
        new = NewImage(f"a-{n}", "a", str(n), NOW + timedelta(seconds=n))
        catalog.images.begin(new, NOW)
        catalog.images.mark_stored(new.id, LOOK, NOW, NOW)
    assert [row.id for row in catalog.images.recent_looks("a")] == ["a-5", "a-4", "a-3", "a-2"]
    with_look = [row for row in catalog.images.search(ImageFilter()) if row.look is not None]
    assert len(with_look) == 4


def test_dropped_image_is_listed_until_it_is_restored(catalog: Catalog) -> None:
    begin(catalog)
    drop = Drop(NOW, "2 bits from a-0", "a-0", LATER)
    assert catalog.images.mark_dropped("a-1", LOOK, drop)
    assert not catalog.images.mark_dropped("a-1", LOOK, drop)
    [listed] = catalog.drops.search(DropFilter(restorable=True))
    assert (listed.image_id, listed.resembles, listed.expires_at) == ("a-1", "a-0", LATER)
    assert catalog.images.mark_stored("a-1", LOOK, NOW, NOW)
    assert catalog.drops.search(DropFilter(restorable=True)) == []


def test_removed_image_leaves_no_row(catalog: Catalog) -> None:
    store(catalog)
    catalog.images.mark_detected("a-1", Found(NOW, 0, 1, {"car": 1}))
    catalog.images.remove("a-1")
    with catalog.engine.connect() as connection:
        left = connection.exec_driver_sql("select count(*) from image_labels").scalar_one()
    assert left == 0
    assert catalog.images.get("a-1") is None
