from __future__ import annotations

import traceback
from collections.abc import Callable

import pytest

from pipeline.errors import ObjectMissing, StorageDenied, StorageError
from pipeline.storage import JSON, ObjectStore, StoredObject
from tests.unit.pipeline.storage.conftest import OF_A_STORE, PASSWORD, Answer, Serve, refusal

KEY = "raw/frames/a"
HTML = {"content-type": "text/html; charset=utf-8", "etag": '"1"'}
PAGE = b"<html><body>Welcome, capture:very-secret-password</body></html>"
Ask = Callable[[ObjectStore], object]
ASKED: dict[str, Ask] = {
    "put": lambda store: store.put(KEY, StoredObject(b"x", JSON)),
    "get": lambda store: store.get(KEY),
    "exists": lambda store: store.exists(KEY),
    "delete": lambda store: store.delete(KEY),
    "list": lambda store: list(store.list("raw/")),
    "list all": lambda store: list(store.list("")),
}
every_call = pytest.mark.parametrize("ask", ASKED.values(), ids=ASKED.keys())


def failure(serve: Serve, answer: Answer, ask: Ask = ASKED["put"]) -> StorageError:
    with pytest.raises(StorageError) as caught:
        ask(serve(answer).open())
    assert PASSWORD not in str(caught.value)
    return caught.value


@every_call
@pytest.mark.parametrize("status", [500, 503, 507, 400])
def test_server_in_trouble_is_tried_again_later(serve_store: Serve, ask: Ask, status: int) -> None:
    error = failure(serve_store, refusal(status, "Trouble"), ask)
    assert not isinstance(error, StorageDenied)
    assert f"answered {status} Trouble" in str(error)


@every_call
@pytest.mark.parametrize("status", [200, 206, 302, 403, 404, 416, 502])
def test_page_of_a_proxy_is_no_answer(serve_store: Serve, ask: Ask, status: int) -> None:
    """Neither an object, nor its absence, nor a put that was kept."""
    error = failure(serve_store, Answer(status, PAGE, HTML), ask)
    assert f"something else answered ({status} text/html; charset=utf-8)" in str(error)
    assert "Welcome" not in str(error)


@every_call
@pytest.mark.parametrize("code", ["AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch"])
def test_user_who_is_refused_is_told_so(serve_store: Serve, ask: Ask, code: str) -> None:
    error = failure(serve_store, refusal(403, code, f"sent {PASSWORD}"), ask)
    assert isinstance(error, StorageDenied)
    shown = "".join(traceback.format_exception_only(error))
    assert PASSWORD not in shown


@every_call
@pytest.mark.parametrize(
    ("status", "code", "advice"),
    [
        (404, "NoSuchBucket", "run init"),
        (507, "XMinioStorageFull", "make room"),
        (500, "InternalError", "is its disk full"),
        (400, "IncompleteBody", "is its disk full"),
        (403, "QuotaExceeded", "make room"),
        (403, "RequestTimeTooSkewed", "clock"),
        (400, "AuthorizationHeaderMalformed", "region="),
    ],
)
def test_what_can_be_mended_is_told(
    serve_store: Serve, ask: Ask, status: int, code: str, advice: str
) -> None:
    error = failure(serve_store, refusal(status, code), ask)
    assert advice in str(error)
    assert not isinstance(error, StorageDenied)


def test_key_that_is_not_there_is_missing(serve_store: Serve) -> None:
    with pytest.raises(ObjectMissing, match=KEY):
        serve_store(refusal(404, "NoSuchKey")).open().get(KEY)


@pytest.mark.parametrize("body", [b"", b"<Other/>", b"{}", b"\xff\xfe", b"<ListBucketResult>"])
def test_listing_that_cannot_be_read_is_a_storage_error(serve_store: Serve, body: bytes) -> None:
    error = failure(serve_store, Answer(body=body), ASKED["list"])
    assert "cannot be read" in str(error)


@pytest.mark.parametrize("body", [b"", b"not xml", b"\xff"])
def test_refusal_that_cannot_be_read_is_a_storage_error(serve_store: Serve, body: bytes) -> None:
    headers = OF_A_STORE | {"content-type": "application/xml"}
    for ask in ASKED.values():
        assert "cannot be read" in str(failure(serve_store, Answer(500, body, headers), ask))


def test_message_names_what_was_tried_and_where(serve_store: Serve) -> None:
    server = serve_store(refusal(507, "XMinioStorageFull"))
    with pytest.raises(StorageError) as caught:
        ASKED["put"](server.open())
    expected = f"cannot store {KEY} in the object store at {server.endpoint}: it is full: make room"
    assert str(caught.value) == expected
