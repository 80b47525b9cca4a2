from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.errors import ObjectMissing
from pipeline.storage import JSON, ObjectStore, StoredObject


def test_put_is_read_back_with_its_type_and_metadata(store: ObjectStore) -> None:
    stored = StoredObject(b"\x00\x01", "image/jpeg", {"camera": "cwl7033"})
    store.put("raw/frames/a/2026-11-21/one", stored)
    assert store.get("raw/frames/a/2026-11-21/one") == stored


def test_put_over_an_object_replaces_it(store: ObjectStore) -> None:
    store.put("sources/a.json", StoredObject(b"1", JSON))
    store.put("sources/a.json", StoredObject(b"22", JSON))
    assert store.get("sources/a.json").data == b"22"
    assert [entry.size for entry in store.list("sources/")] == [2]


def test_get_of_a_missing_object_says_so(store: ObjectStore) -> None:
    with pytest.raises(ObjectMissing):
        store.get("images/a/2026-11-21/none.jpg")


def test_exists_follows_put_and_delete(store: ObjectStore) -> None:
    assert not store.exists("sources/a.json")
    store.put("sources/a.json", StoredObject(b"{}", JSON))
    assert store.exists("sources/a.json")
    store.delete("sources/a.json")
    assert not store.exists("sources/a.json")


def test_delete_may_be_repeated(store: ObjectStore) -> None:
    store.delete("sources/a.json")
    store.delete("sources/a.json")


def test_list_gives_keys_below_a_prefix_in_order(store: ObjectStore) -> None:
    for key in ("images/b/d/2.jpg", "images/a/d/1.jpg", "detections/a/d/1.json"):
        store.put(key, StoredObject(b"x", "image/jpeg", {"kept": "yes"}))
    assert [entry.key for entry in store.list("images/")] == [
        "images/a/d/1.jpg",
        "images/b/d/2.jpg",
    ]
    assert [entry.key for entry in store.list("images/b/")] == ["images/b/d/2.jpg"]
    assert list(store.list("models/")) == []


@pytest.mark.parametrize("key", ["../x", "a/../../x", "/etc/x", "a", "a//b", "a/.hidden", "a/b\n"])
def test_put_refuses_a_key_that_leaves_the_store(store: ObjectStore, key: str) -> None:
    with pytest.raises(ValueError, match="not a key"):
        store.put(key, StoredObject(b"x", JSON))


def test_put_by_many_threads_is_never_seen_in_part(store: ObjectStore) -> None:
    bodies = [bytes([n]) * 50_000 for n in range(8)]
    store.put("sources/a.json", StoredObject(bodies[0], JSON))

    def write_and_read(n: int) -> bytes:
        store.put("sources/a.json", StoredObject(bodies[n % 8], JSON))
        return store.get("sources/a.json").data

    with ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(write_and_read, range(80)))
    assert set(seen) <= set(bodies)
