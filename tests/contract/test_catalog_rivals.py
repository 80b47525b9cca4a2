"""Many processes write at once, on every database: nothing is lost, doubled or half done."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import chain

import pytest

from pipeline.catalog import Catalog
from pipeline.catalog.cameras import PollEnd, camera_of
from pipeline.catalog.drops import DropFilter
from pipeline.catalog.images import Description, Drop, Found, ImageFilter, NewImage
from pipeline.records import Camera, ImageState, Outcome, Tombstone
from tests.rivals import PATIENCE_S, RIVALS, Arena, open_arena

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
LATER = NOW + timedelta(seconds=45)
LOOK = Description(640, 480, "00" * 8, {"phash": "00" * 8})
DROP = Drop(NOW, "2 bits from a-0", "a-0", LATER)
TIMES = 50
FEWER = 20
SLOTS = 5
IMAGES = 60


@pytest.fixture(scope="module")
def arena() -> Iterator[Arena]:
    with open_arena() as made:
        yield made


def begin(catalog: Catalog, image_id: str) -> str:
    return catalog.images.begin(NewImage(image_id, "a", f"sha of {image_id}", NOW), NOW).id


def store(catalog: Catalog, image_id: str) -> bool:
    begin(catalog, image_id)
    return catalog.images.mark_stored(image_id, LOOK, NOW, NOW)


def add_to_counter(catalog: Catalog, rival: int) -> None:
    for _ in range(TIMES):
        catalog.counters.add("a", "kept", NOW)


def test_counted_updates_lose_nothing(arena: Arena, catalog: Catalog, catalog_url: str) -> None:
    arena.compete(catalog_url, add_to_counter)
    assert catalog.counters.totals() == {"a": {"kept": RIVALS * TIMES}}


def claim_slots(catalog: Catalog, rival: int) -> list[str]:
    tokens = [f"{rival} {n}" for n in range(FEWER)]
    return [one for one in tokens if catalog.slots.claim("h", SLOTS, one, NOW, LATER)]


def test_slots_go_to_exactly_as_many(arena: Arena, catalog: Catalog, catalog_url: str) -> None:
    claimed = list(chain(*arena.compete(catalog_url, claim_slots)))
    assert len(claimed) == len(set(claimed)) == SLOTS
    assert catalog.slots.free("h", SLOTS, NOW) == 0
    for token in claimed:
        catalog.slots.release(token)
    assert catalog.slots.free("h", SLOTS, NOW) == SLOTS


def claim_and_release_slots(catalog: Catalog, rival: int) -> int:
    """So often, and until it had one: before, others may have held all whenever it asked."""
    had = n = 0
    ends_at = time.monotonic() + PATIENCE_S
    while n < FEWER or (not had and time.monotonic() < ends_at):
        token, n = f"{rival} {n}", n + 1
        had += catalog.slots.claim("h", SLOTS, token, NOW, LATER)
        assert catalog.slots.free("h", SLOTS, NOW) >= 0
        catalog.slots.release(token)
    return had


def test_slots_come_back(arena: Arena, catalog: Catalog, catalog_url: str) -> None:
    assert min(arena.compete(catalog_url, claim_and_release_slots)) > 0
    assert catalog.slots.free("h", SLOTS, NOW) == SLOTS


def take_due(catalog: Catalog, rival: int) -> list[str]:
    """A quarter at most: else one of them may have taken all before another was given the CPU."""
    taken: list[str] = []
    for _ in range(IMAGES):
        if len(taken) < IMAGES // 4:
            taken += catalog.work.take_due(NOW, 3)
    return taken


def test_sweeps_announce_each_image_once(arena: Arena, catalog: Catalog, catalog_url: str) -> None:
    stored = [f"a-{n:02}" for n in range(IMAGES)]
    assert all(store(catalog, image) for image in stored)
    taken = arena.compete(catalog_url, take_due)
    assert sorted(chain(*taken)) == stored
    assert len([some for some in taken if some]) > 3, "there was no rivalry"


def claim_images(catalog: Catalog, rival: int) -> list[str]:
    images = [f"a-{n}" for n in range(10)]
    return [one for one in images if catalog.work.claim(one, str(rival), NOW, LATER)]


def test_images_are_claimed_by_one(arena: Arena, catalog: Catalog, catalog_url: str) -> None:
    assert all(store(catalog, f"a-{n}") for n in range(10))
    claimed = chain(*arena.compete(catalog_url, claim_images))
    assert sorted(claimed) == [f"a-{n}" for n in range(10)]


def finish_detection(catalog: Catalog, rival: int) -> None:
    labels = {"face": rival, "car": 2 * rival, f"label {rival}": 1}
    for _ in range(FEWER):
        assert catalog.images.mark_detected("a-1", Found(NOW, rival, 2 * rival, labels))


def test_detections_of_one_image_leave_one_row(
    arena: Arena, catalog: Catalog, catalog_url: str
) -> None:
    assert store(catalog, "a-1")
    arena.compete(catalog_url, finish_detection)
    [row] = catalog.images.search(ImageFilter())
    last = row.faces
    assert (row.state, row.vehicles) == (ImageState.DETECTED, 2 * last)
    labels = {one.label: one.count for one in row.labels}
    assert labels == {"face": last, "car": 2 * last, f"label {last}": 1}


def give_up(catalog: Catalog, rival: int) -> bool:
    return catalog.images.mark_undetected("a-1", "too late", NOW)


def test_image_is_given_up_once(arena: Arena, catalog: Catalog, catalog_url: str) -> None:
    assert store(catalog, "a-1")
    assert arena.compete(catalog_url, give_up).count(True) == 1
    assert catalog.counters.totals() == {"a": {"undetected": 1}}
    [listed] = catalog.drops.search(DropFilter())
    assert listed.reason == "too late"


def begin_and_remove(catalog: Catalog, rival: int) -> set[str]:
    begun = set()
    for n in range(FEWER):
        new = NewImage(f"a-{rival}-{n}", "a", "ff", NOW)
        begun.add(catalog.images.begin(new, NOW).id)
        if n % 3 == 0:
            catalog.images.remove(new.id)
    return begun


def test_same_bytes_have_one_row_whoever_removes_it(
    arena: Arena, catalog: Catalog, catalog_url: str
) -> None:
    begun = set().union(*arena.compete(catalog_url, begin_and_remove))
    assert len(begun) > 1, "nothing was removed in between"
    assert len(catalog.images.search(ImageFilter(limit=None))) <= 1


def save_camera(catalog: Catalog, rival: int) -> None:
    for n in range(FEWER // 2):
        for camera_id in ("a", "b"):
            camera = Camera(id=camera_id, url=f"http://h{rival}/{n}.jpg", every_s=rival + 1)
            catalog.cameras.save(camera, NOW)
        if n % 3 == 0:
            catalog.cameras.remove("b")


def test_cameras_are_saved_whole(arena: Arena, catalog: Catalog, catalog_url: str) -> None:
    arena.compete(catalog_url, save_camera)
    rows = catalog.cameras.all()
    assert "a" in {row.id for row in rows}
    for row in rows:
        assert row.host == f"h{camera_of(row).every_s - 1:.0f}"


def finish_poll(catalog: Catalog, rival: int) -> bool:
    end = PollEnd(outcome=Outcome.TRUNCATED, at=NOW, due_at=LATER, reason="no end")
    return catalog.cameras.finish("a", "token", end)


def test_poll_is_finished_once(arena: Arena, catalog: Catalog, catalog_url: str) -> None:
    catalog.cameras.save(Camera(id="a", url="http://h/a.jpg"), NOW)
    assert catalog.cameras.claim("a", "token", NOW, LATER)
    assert arena.compete(catalog_url, finish_poll).count(True) == 1
    assert catalog.counters.totals() == {"a": {"truncated": 1}}
    assert len(catalog.drops.search(DropFilter())) == 1


def bury(catalog: Catalog, rival: int) -> None:
    stone = Tombstone(id="a-1", source="a", sha256_received="ff", erased_at=NOW)
    for n in range(FEWER // 2):
        catalog.tombstones.add(stone, LATER + timedelta(seconds=n))


def test_tombstone_is_noted_by_many(arena: Arena, catalog: Catalog, catalog_url: str) -> None:
    arena.compete(catalog_url, bury)
    [row] = catalog.tombstones.all()
    assert (row.sha256_received, row.erased_at) == ("ff", NOW)


def live(catalog: Catalog, rival: int) -> Counter[str]:
    """All that stages do to images of one source, each rival at another step of it."""
    images, work, done = catalog.images, catalog.work, Counter[str]()
    for n in range(FEWER):
        image, token = f"a-{(n + rival) % 7}", f"{rival} {n}"
        begin(catalog, image)
        done["dropped"] += images.mark_dropped(image, LOOK, DROP)
        done["stored"] += images.mark_stored(image, LOOK, NOW, NOW)
        work.take_due(NOW, 5)
        if work.claim(image, token, NOW, LATER):
            done["detected"] += images.mark_detected(image, Found(NOW, 1, 2, {"car": rival}))
            work.give_back(image, token, counted=False)
        images.mark_expired(image, NOW)
        done["undetected"] += images.mark_undetected(image, "too late", NOW)
        catalog.drops.forget_before(NOW)
        if n % 4 == rival % 4:
            images.remove(image)
            done["removed"] += 1
    return done


def test_stages_at_work_on_the_same_images_never_wait_in_a_circle(
    arena: Arena, catalog: Catalog, catalog_url: str
) -> None:
    done = sum(arena.compete(catalog_url, live), start=Counter[str]())
    assert all(done[what] for what in ("dropped", "stored", "detected", "removed"))
    given_up = catalog.counters.totals().get("a", {}).get("undetected", 0)
    assert given_up == done["undetected"]
    for row in catalog.images.search(ImageFilter(limit=None)):
        if row.state == ImageState.DETECTED:
            assert (row.faces, row.vehicles, len(row.labels)) == (1, 2, 1)
