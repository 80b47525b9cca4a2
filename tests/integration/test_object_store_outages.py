"""An S3 server that ends, hangs, or is asked by many at once: a real one."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.errors import StorageDenied, StorageError
from pipeline.storage import JSON, ObjectStore, StoredObject, open_store
from tests.buckets import make_buckets
from tests.servers import Server, start_minio
from tests.waiting import wait_until

pytestmark = pytest.mark.integration

ENDS_WITHIN_S = 25  # as much as a detection has
THREADS = 16
STORED = StoredObject(b"{}", JSON)
KEY = "sources/a.json"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Its own: it is stopped."""
    with start_minio() as started:
        yield started


@pytest.fixture
def store(server: Server) -> ObjectStore:
    return open_store(make_buckets(server.url))


def test_store_that_was_stopped_is_used_again(server: Server, store: ObjectStore) -> None:
    store.put(KEY, STORED)
    server.stop()
    try:
        for ask in (lambda: store.put("sources/b.json", STORED), lambda: store.get(KEY)):
            with pytest.raises(StorageError, match="Connection refused"):
                ask()
    finally:
        server.start()
    store.put("sources/b.json", STORED)
    assert [entry.key for entry in store.list("sources/")] == [KEY, "sources/b.json"]
    assert store.get(KEY) == STORED


def test_store_that_hangs_is_not_waited_for_long(server: Server, store: ObjectStore) -> None:
    store.put(KEY, STORED)
    asked: list[Callable[[], object]] = [
        lambda: store.put("sources/b.json", STORED),
        lambda: store.put("raw/frames/a", StoredObject(bytes(20_000_000), "image/jpeg")),
        lambda: store.get(KEY),
        lambda: store.exists(KEY),
        lambda: store.delete(KEY),
        lambda: list(store.list("sources/")),
        lambda: open_store(server.url).free_bytes(),
    ]
    server.pause()
    try:
        with ThreadPoolExecutor(len(asked)) as pool:
            took = list(pool.map(seconds_to_fail, asked))
    finally:
        server.resume()
    assert max(took) < ENDS_WITHIN_S
    assert min(took) > 1, "it did not hang"
    server.wait_until_ready()
    store.put(KEY, STORED)
    assert store.get(KEY) == STORED


def test_store_killed_under_many_writers_keeps_what_it_took(
    server: Server, store: ObjectStore
) -> None:
    stop = threading.Event()
    taken: list[str] = []
    refused: list[StorageError] = []

    def write(thread: int) -> None:
        number = 0
        while not stop.is_set():
            body = f"{thread} {number}".encode() * 20_000
            key = f"images/{thread}/{hashlib.sha256(body).hexdigest()}"
            number += 1
            try:
                store.put(key, StoredObject(body, "image/jpeg"))
                taken.append(key)
            except StorageError as error:
                refused.append(error)
                stop.wait(0.2)

    with ThreadPoolExecutor(THREADS) as pool:
        writers = [pool.submit(write, thread) for thread in range(THREADS)]
        try:
            wait_until(lambda: len(taken) > 2 * THREADS)
            server.kill()
            wait_until(lambda: len(refused) >= THREADS)
            before = len(taken)
            server.start()
            wait_until(lambda: len(taken) > before + THREADS)
        finally:
            stop.set()
        for writer in writers:
            writer.result()
    listed = {entry.key for entry in store.list("images/")}
    assert set(taken) <= listed
    for key in listed:
        assert hashlib.sha256(store.get(key).data).hexdigest() == key.rpartition("/")[2]


def test_many_writers_are_served_and_all_is_listed_in_order(store: ObjectStore) -> None:
    """More than a listing's page, too."""
    keys = [f"detections/{n % THREADS}/{n}.json" for n in range(1200)]
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda key: store.put(key, STORED), keys))
    assert [entry.key for entry in store.list("detections/")] == sorted(keys)


def test_user_nobody_knows_is_denied(server: Server) -> None:
    url = make_buckets(server.url)
    prefix = url.rpartition("/")[2]
    for user, password in ((server.user, "wrong-password"), ("nobody", server.password)):
        stranger = open_store(server.url_of(user, password, f"/{prefix}"))
        for ask in (stranger.get, stranger.exists, stranger.delete):
            with pytest.raises(StorageDenied) as caught:
                ask(KEY)
            assert password not in str(caught.value)
        with pytest.raises(StorageDenied):
            stranger.put(KEY, STORED)
        with pytest.raises(StorageDenied):
            list(stranger.list("sources/"))
        assert stranger.free_bytes() is None


def seconds_to_fail(ask: Callable[[], object]) -> float:
    started_s = time.monotonic()
    with pytest.raises(StorageError):
        ask()
    return time.monotonic() - started_s
