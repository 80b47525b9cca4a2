"""Where a task's image is read from, and from where it is not."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image

from pipeline import keys
from pipeline.errors import FetchError, PermanentError, PipelineError, UnreadableImage
from pipeline.fetch import Fetcher, FetchLimits
from pipeline.records import Outcome
from pipeline.storage import ObjectStore, StoredObject
from services.detection.backend.images import NoImage, TaskImages
from services.detection.backend.setups import Setup
from tests.ml_backend import SIZE, paint
from tests.raw_server import Serve, Server, reply

OURS = "quai-20261121T091640Z-8be14bda"
LIMITS = FetchLimits(deadline_s=60, max_bytes=1_000_000)


def setup_of(server: Server, path: str = "") -> Setup:
    return Setup(f"http://{server.address}{path}", "t0ken", None)


def read(
    store: ObjectStore, data: object, setup: Setup | None = None, studio_url: str | None = None
) -> tuple[int, ...]:
    """The picture's rows, columns and colours."""
    images = TaskImages(store, Fetcher(LIMITS, "Traboule/test"), studio_url)
    return images.read({"id": 7, "data": data}, "image", setup).shape


def refusal(store: ObjectStore, data: object, setup: Setup | None = None) -> PipelineError:
    with pytest.raises(PipelineError) as caught:
        read(store, data, setup)
    return caught.value


SHAPE = (SIZE[1], SIZE[0], 3)


def test_our_image_is_read_from_the_store(store: ObjectStore) -> None:
    store.put(keys.stored_image(OURS), StoredObject(paint(), "image/jpeg"))
    assert read(store, {"image": "http://127.0.0.1:9/x.jpg", "image_id": OURS}) == SHAPE


@pytest.mark.parametrize("image_id", [OURS, "../../etc/passwd", 7, None])
def test_what_is_not_in_the_store_is_fetched(
    store: ObjectStore, serve: Serve, image_id: Any
) -> None:
    server = serve(reply(paint()))
    data = {"image": "/data/upload/1/x.png", "image_id": image_id}
    assert read(store, data, setup_of(server)) == SHAPE


def test_upload_is_fetched_with_the_token_of_its_project(store: ObjectStore, serve: Serve) -> None:
    server = serve(reply(paint()))
    assert read(store, {"image": "/data/upload/1/x.png"}, setup_of(server)) == SHAPE
    assert server.requests[0].startswith(b"GET /data/upload/1/x.png ")
    assert b"Authorization: Token t0ken\r\n" in server.requests[0]


def test_cloud_image_is_fetched_through_label_studio(store: ObjectStore, serve: Serve) -> None:
    server = serve(reply(paint()))
    read(store, {"image": "s3://b/x.jpg"}, setup_of(server, "/lab"))
    assert server.requests[0].startswith(b"GET /lab/tasks/7/resolve/?fileuri=czM6Ly9iL3guanBn ")


def test_label_studio_is_asked_where_we_reach_it(store: ObjectStore, serve: Serve) -> None:
    server = serve(reply(paint()))
    setup = Setup("http://studio.example:8080", "t0ken", None)
    address = "http://studio.example:8080/data/upload/1/x.png?a=1"
    read(store, {"image": address}, setup, f"http://{server.address}")
    assert server.requests[0].startswith(b"GET /data/upload/1/x.png?a=1 ")
    assert b"t0ken" in server.requests[0]


@pytest.mark.parametrize(
    "address",
    [
        "/api/projects/1/next",
        "/data/../api/users/",
        "/data/%2e%2e/api/users/",
        "javascript:alert(1)",
        "x",
    ],
)
def test_token_opens_nothing_but_images(store: ObjectStore, serve: Serve, address: str) -> None:
    server = serve(reply(paint()))
    assert isinstance(refusal(store, {"image": address}, setup_of(server)), NoImage)
    assert server.requests == []


@pytest.mark.parametrize(
    "address",
    ["http://127.0.0.1:{port}/x.png", "http://localhost/x", "http://[::1]/x", "http://nas.lan/x"],
)
def test_private_address_is_refused(store: ObjectStore, serve: Serve, address: str) -> None:
    server = serve(reply(paint()))
    port = server.address.rpartition(":")[2]
    elsewhere = Setup("http://studio.example", "t0ken", None)
    error = refusal(store, {"image": address.format(port=port)}, elsewhere)
    assert isinstance(error, FetchError)
    assert error.outcome is Outcome.FORBIDDEN_ADDRESS
    assert server.requests == []


def test_upload_waits_until_label_studio_has_said_where_it_is(store: ObjectStore) -> None:
    assert isinstance(refusal(store, {"image": "/data/upload/1/x.png"}), NoImage)
    nowhere = Setup("", "t0ken", None)
    assert isinstance(refusal(store, {"image": "/data/upload/1/x.png"}, nowhere), NoImage)


@pytest.mark.parametrize(
    "data", [None, [], {}, {"image": 7}, {"image": "\ud800"}, {"image": "http://["}, {"image": ""}]
)
def test_task_without_an_image_is_refused(store: ObjectStore, serve: Serve, data: object) -> None:
    error = refusal(store, data, setup_of(serve(reply(paint()))))
    assert isinstance(error, PermanentError)


@pytest.mark.parametrize("body", [b"", b"<svg/>", paint()[:60]])
def test_what_is_no_image_is_refused(store: ObjectStore, serve: Serve, body: bytes) -> None:
    setup = setup_of(serve(reply(body)))
    assert isinstance(refusal(store, {"image": "/data/x.png"}, setup), UnreadableImage)


def test_picture_of_a_few_pixels_is_read(store: ObjectStore, serve: Serve) -> None:
    file = io.BytesIO()
    Image.new("RGB", (1, 1)).save(file, "PNG")
    setup = setup_of(serve(reply(file.getvalue())))
    assert read(store, {"image": "/data/x.png"}, setup) == (1, 1, 3)
