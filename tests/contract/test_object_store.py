from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.errors import ObjectMissing
from pipeline.storage import JSON, ObjectInfo, ObjectStore, StoredObject

MIB = 1024 * 1024


def test_put_is_read_back_with_its_type_and_metadata(store: ObjectStore) -> None:
    stored = StoredObject(b"\x00\x01", "image/jpeg", {"camera": "cwl7033"})
    store.put("raw/frames/a/2026-11-21/one", stored)
    assert store.get("raw/frames/a/2026-11-21/one") == stored


@pytest.mark.parametrize("size", [0, 1, 5 * MIB + 1, 20 * MIB])
def test_object_of_any_size_is_read_back(store: ObjectStore, size: int) -> None:
    stored = StoredObject(random.Random(size).randbytes(size), "image/jpeg")
    store.put("raw/frames/a/d/1", stored)
    assert store.get("raw/frames/a/d/1") == stored
    assert store.exists("raw/frames/a/d/1")
    assert list(store.list("raw/")) == [ObjectInfo("raw/frames/a/d/1", size)]


@pytest.mark.parametrize("text", ["Place de la Comédie", "100 %25", " a\tb\n", "", "猫", "a=b&c"])
def test_metadata_of_any_text_is_read_back(store: ObjectStore, text: str) -> None:
    stored = StoredObject(b"x", JSON, {"place": text, "x-1": "y"})
    store.put("sources/a.json", stored)
    assert store.get("sources/a.json") == stored


@pytest.mark.parametrize("name", ["Camera", "a_b", "é", "", "a b", "a\n"])
def test_metadata_name_that_would_change_is_refused(store: ObjectStore, name: str) -> None:
    with pytest.raises(ValueError, match="not a metadata name"):
        store.put("sources/a.json", StoredObject(b"x", JSON, {name: "x"}))
    assert not store.exists("sources/a.json")


def test_put_over_an_object_replaces_it(store: ObjectStore) -> None:
    store.put("sources/a.json", StoredObject(b"1", "text/plain", {"a": "b"}))
    store.put("sources/a.json", StoredObject(b"22", JSON))
    assert store.get("sources/a.json") == StoredObject(b"22", JSON)
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


def test_list_orders_keys_by_their_bytes(store: ObjectStore) -> None:
    """Where the order of folders' names would be another."""
    ordered = ["images/a-b/1", "images/a.json", "images/a/1", "images/a/10", "images/a/2"]
    for key in reversed(ordered):
        store.put(key, StoredObject(b"x", JSON))
    assert [entry.key for entry in store.list("images/")] == ordered


def test_list_takes_any_beginning_of_a_key(store: ObjectStore) -> None:
    keys = ["images/a/1", "images/ab/1", "sources/a.json"]
    for key in keys:
        store.put(key, StoredObject(b"x", JSON, {"kept": "yes"}))
    assert [entry.key for entry in store.list("images/a")] == keys[:2]
    assert [entry.key for entry in store.list("images/a/")] == keys[:1]
    assert [entry.key for entry in store.list("im")] == keys[:2]
    assert [entry.key for entry in store.list("")] == keys


def test_room_left_is_known_and_leftovers_are_no_objects(store: ObjectStore) -> None:
    store.put("sources/a.json", StoredObject(b"x", JSON))
    room = store.free_bytes()
    assert room is not None
    assert room > 0
    store.remove_leftovers()
    assert store.exists("sources/a.json")


@pytest.mark.parametrize("key", ["../x", "a/../../x", "/etc/x", "a", "a//b", "a/.hidden", "a/b\n"])
def test_key_that_leaves_the_store_is_refused(store: ObjectStore, key: str) -> None:
    with pytest.raises(ValueError, match="not a key"):
        store.put(key, StoredObject(b"x", JSON))
    for ask in (store.get, store.exists, store.delete):
        with pytest.raises(ValueError, match="not a key"):
            ask(key)


def test_put_by_many_threads_is_never_seen_in_part(store: ObjectStore) -> None:
    bodies = [bytes([n]) * 50_000 for n in range(8)]
    store.put("sources/a.json", StoredObject(bodies[0], JSON))

    def write_and_read(n: int) -> bytes:
        store.put("sources/a.json", StoredObject(bodies[n % 8], JSON))
        return store.get("sources/a.json").data

    with ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(write_and_read, range(80)))
    assert set(seen) <= set(bodies)
