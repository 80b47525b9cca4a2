"""What is asked of the server; that it works is tests/contract's to say."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.storage import JSON, StoredObject, open_store, s3
from tests.unit.pipeline.storage.conftest import OF_A_STORE, Answer, Asked, Serve, refusal

DRIVE = {"totalspace": 1_000_000, "availspace": 500_000}
LISTED = """<ListBucketResult><Name>lyon-raw</Name><IsTruncated>false</IsTruncated>
<Contents><Key>frames/1</Key><Size>7</Size></Contents></ListBucketResult>"""
BUCKETS = """<ListAllMyBucketsResult><Buckets>
<Bucket><Name>lyon-a</Name></Bucket><Bucket><Name>lyon-a-b</Name></Bucket>
<Bucket><Name>nice-raw</Name></Bucket></Buckets></ListAllMyBucketsResult>"""


def described(*drives: dict[str, int], parity: int = 0) -> Answer:
    backend = {"totalDrivesPerSet": [len(drives)], "standardSCParity": parity}
    return said({"backend": backend, "servers": [{"drives": drives}]})


def said(info: Any) -> Answer:
    return Answer(body=json.dumps(info).encode())


@pytest.mark.parametrize("size", [0, 6_000_000])
def test_put_is_one_request_whatever_the_size(serve_store: Serve, size: int) -> None:
    """Its parts, where it had any, would outlive a killed process."""
    server = serve_store(Answer())
    server.open().put("raw/frames/a", StoredObject(bytes(size), "image/jpeg", {"of": "été"}))
    [asked] = server.asked
    assert (asked.method, asked.path) == ("PUT", "/raw/frames/a")
    assert len(asked.body) == size
    assert asked.headers["Content-Type"] == "image/jpeg"
    assert asked.headers["X-Amz-Meta-Of".lower()] == "%C3%A9t%C3%A9"


def test_buckets_are_named_with_the_prefix(serve_store: Serve) -> None:
    server = serve_store(Answer(body=LISTED.encode()))
    store = open_store(f"{server.url}/lyon-?region=eu-west-3")
    assert [entry.key for entry in store.list("raw/frames")] == ["raw/frames/1"]
    store.delete("raw/frames/1")
    listing, delete = server.asked
    assert listing.path.startswith("/lyon-raw?")
    assert delete.path == "/lyon-raw/frames/1"
    assert "/eu-west-3/s3/" in delete.headers["Authorization"]


def test_other_buckets_are_not_listed(serve_store: Serve) -> None:
    def give(asked: Asked) -> Answer:
        return Answer(body=(BUCKETS if asked.path == "/" else LISTED).encode())

    server = serve_store(give)
    keys = [entry.key for entry in open_store(f"{server.url}/lyon-").list("")]
    assert keys == ["a-b/frames/1", "a/frames/1"], "in the order of the keys' bytes"


def test_object_without_a_type_of_its_own_is_read(serve_store: Serve) -> None:
    server = serve_store(Answer(body=b"x"))
    assert server.open().get("raw/a") == StoredObject(b"x", "")


def test_room_left_is_what_may_still_be_written(serve_store: Serve) -> None:
    full = {"totalspace": 1_000_000, "availspace": 9_000}
    assert serve_store(described(DRIVE)).open().free_bytes() == 490_000
    assert serve_store(described(full)).open().free_bytes() == 0
    assert serve_store(described({"totalspace": 1_000_000})).open().free_bytes() == 0
    assert serve_store(described(DRIVE, DRIVE, full, {}, parity=2)).open().free_bytes() == 490_000


def test_room_left_is_asked_for_once_in_a_while(
    serve_store: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve_store(described(DRIVE))
    store = server.open()
    assert store.free_bytes() == store.free_bytes() == 490_000
    assert len(server.asked) == 1
    monkeypatch.setattr(s3, "ROOM_KNOWN_FOR_S", 0)
    store = server.open()
    assert store.free_bytes() == store.free_bytes()
    assert len(server.asked) == 3


@pytest.mark.parametrize(
    "answer",
    [
        refusal(403, "AccessDenied"),
        refusal(404, "NoSuchBucket"),
        refusal(501, "NotImplemented"),
        Answer(body=b"<Garbage/>"),
        said([]),
        said({}),
        said({"servers": [{"drives": None}], "backend": {"totalDrivesPerSet": []}}),
        described({}),
    ],
)
def test_room_left_is_unknown_where_the_server_does_not_say(
    serve_store: Serve, answer: Answer
) -> None:
    assert serve_store(answer).open().free_bytes() is None


def test_leftovers_are_the_servers_to_remove(serve_store: Serve) -> None:
    server = serve_store(Answer())
    server.open().remove_leftovers()
    assert server.asked == []


def test_empty_object_exists(serve_store: Serve) -> None:
    assert serve_store(refusal(416, "InvalidRange")).open().exists("raw/a")
    assert not serve_store(refusal(404, "NoSuchKey")).open().exists("raw/a")
    assert serve_store(Answer(206, b"x", OF_A_STORE)).open().exists("raw/a")


def test_delete_of_what_is_not_there_is_no_error(serve_store: Serve) -> None:
    """As some servers answer it, if not MinIO."""
    serve_store(refusal(404, "NoSuchKey")).open().delete("raw/a")


def test_put_of_json_says_so(serve_store: Serve) -> None:
    server = serve_store(Answer())
    server.open().put("sources/a.json", StoredObject(b"{}", JSON))
    assert server.asked[0].headers["Content-Type"] == JSON
