"""The city as a client sees it, well-behaved and not."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from PIL import Image

from services.simulation.city import City
from services.simulation.misbehaviour import HUGE_BYTES, Misbehaviour, Pace, draw_placeholder
from services.simulation.server import CityServer, serve
from tests.waiting import wait_until

PACE = Pace(slow_s=0.2, drip_s=0.01, patience_s=0.3)


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def city() -> City:
    return City(2, refresh_s=10, clock=Clock())


@pytest.fixture
def server(city: City) -> Iterator[CityServer]:
    with serve(city, pace=PACE) as server:
        yield server


def get(server: CityServer, camera_id: str = "sim-1", **headers: str) -> requests.Response:
    return requests.get(server.camera_url(camera_id), headers=headers, timeout=60)


def test_png_of_a_folder_is_sent_as_it_is(tmp_path: Path) -> None:
    Image.new("RGB", (40, 30)).save(tmp_path / "1.png")
    with serve(City(0, folders=(tmp_path,)), pace=PACE) as server:
        answer = get(server, "folder-1")
        server.misbehave("folder-1", Misbehaviour.SLOW)
        late = get(server, "folder-1")
    assert answer.headers["Content-Type"] == late.headers["Content-Type"] == "image/png"
    assert answer.content == late.content == (tmp_path / "1.png").read_bytes()


def read_raw(server: CityServer, *, most: int = 1_000_000) -> bytes:
    """All that comes on one connection, up to `most` bytes."""
    host, port = server.server_address[:2]
    with socket.create_connection((str(host), port), timeout=60) as connection:
        connection.sendall(b"GET /camera/sim-1.jpg HTTP/1.1\r\nHost: city\r\n\r\n")
        received = b""
        while len(received) < most and (part := connection.recv(65_536)):
            received += part
        return received


def test_picture_is_the_frame_of_the_moment(server: CityServer, city: City) -> None:
    answer = get(server)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "image/jpeg"
    assert answer.content == city.frame("sim-1").picture
    assert server.requests["sim-1"] == 1 and not server.sent


def test_validators_are_honoured(server: CityServer) -> None:
    first = get(server)
    held = {"If-None-Match": first.headers["ETag"]}
    assert get(server, **held).status_code == 304
    assert get(server, **{"If-Modified-Since": first.headers["Last-Modified"]}).status_code == 304
    assert get(server, **{"If-None-Match": '"another"'}).status_code == 200
    assert get(server, **{"If-Modified-Since": "no date"}).status_code == 200


def test_even_cameras_send_no_validators(server: CityServer) -> None:
    answer = get(server, "sim-2")
    assert "ETag" not in answer.headers and "Last-Modified" not in answer.headers


def test_list_names_every_camera(server: CityServer) -> None:
    cameras = requests.get(f"{server.url}/cameras.json", timeout=60).json()
    assert [camera["id"] for camera in cameras] == ["sim-1", "sim-2"]
    places = {"latitude", "longitude"}
    assert set(cameras[0]) == {"id", "name", "url", "refresh_s", "drawn"} | places
    assert cameras[0]["drawn"] is True
    assert requests.get(cameras[1]["url"], timeout=60).status_code == 200


def test_truth_is_that_of_the_frame(server: CityServer, city: City) -> None:
    truth = requests.get(f"{server.url}/truth/sim-1.json", timeout=60).json()
    frame = city.frame("sim-1")
    assert frame.truth and truth["frame"] == frame.number and truth["daylight"] is True
    assert len(truth["objects"]) == len(frame.truth.objects) > 0
    assert {"label", "box"} == set(truth["objects"][0])


def test_list_uses_the_address_that_the_client_came_by(server: CityServer) -> None:
    answer = requests.get(f"{server.url}/cameras.json", headers={"Host": "city:80"}, timeout=60)
    assert answer.json()[0]["url"] == "http://city:80/camera/sim-1.jpg"


def test_list_says_which_camera_may_show_real_people(tmp_path: Path) -> None:
    Image.new("RGB", (40, 30)).save(tmp_path / "1.png")
    with serve(City(1, folders=(tmp_path,))) as server:
        cameras = requests.get(f"{server.url}/cameras.json", timeout=60).json()
    assert {camera["id"]: camera["drawn"] for camera in cameras} == {
        "sim-1": True,
        "folder-1": False,
    }


def test_health_is_told_without_drawing(server: CityServer) -> None:
    answer = requests.get(f"{server.url}/health", timeout=60)
    assert (answer.status_code, answer.content) == (204, b"")
    assert not server.requests


def test_query_is_ignored(server: CityServer) -> None:
    assert requests.get(server.camera_url("sim-1") + "?t=1", timeout=60).status_code == 200


def test_bad_length_is_refused(server: CityServer) -> None:
    for length in ("-1", "many", "100000"):
        answer = requests.put(
            f"{server.url}/misbehave/sim-1", headers={"Content-Length": length}, timeout=60
        )
        assert answer.status_code == 400


@pytest.mark.parametrize("path", ["/", "/camera/sim-9.jpg", "/camera/sim-1.png", "/truth/x.json"])
def test_unknown_path_is_not_found(server: CityServer, path: str) -> None:
    assert requests.get(server.url + path, timeout=60).status_code == 404


def test_misbehaviour_is_told_over_http(server: CityServer) -> None:
    address = f"{server.url}/misbehave/sim-1"
    assert requests.put(address, data="500", timeout=60).status_code == 204
    assert get(server).status_code == 500
    assert get(server, "sim-2").status_code == 200
    assert requests.put(address, data="", timeout=60).status_code == 204
    assert get(server).status_code == 200
    assert requests.put(address, data="sulks", timeout=60).status_code == 400
    assert requests.put(f"{server.url}/misbehave/x", data="500", timeout=60).status_code == 404
    assert server.sent == {("sim-1", Misbehaviour.SERVER_ERROR): 1}


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (Misbehaviour.NOT_MODIFIED, 304),
        (Misbehaviour.NOT_FOUND, 404),
        (Misbehaviour.SERVER_ERROR, 500),
        (Misbehaviour.RATE_LIMITED, 429),
    ],
)
def test_statuses_are_sent(server: CityServer, kind: Misbehaviour, status: int) -> None:
    server.misbehave("sim-1", kind)
    answer = get(server)
    assert answer.status_code == status
    assert answer.headers.get("Retry-After") == ("7" if status == 429 else None)
    assert server.sent["sim-1", kind] == 1


def test_same_bytes_outlast_the_refresh() -> None:
    clock = Clock()
    with serve(City(2, refresh_s=10, clock=clock), pace=PACE) as server:
        server.misbehave("sim-2", Misbehaviour.SAME_BYTES)
        before = get(server, "sim-2").content
        clock.now += 30
        assert get(server, "sim-2").content == before
        server.misbehave("sim-2", None)
        assert get(server, "sim-2").content != before


def test_placeholder_and_truncated_are_complete_answers(server: CityServer, city: City) -> None:
    server.misbehave("sim-1", Misbehaviour.PLACEHOLDER)
    assert get(server).content == draw_placeholder()
    server.misbehave("sim-1", Misbehaviour.TRUNCATED)
    cut = get(server)
    assert cut.status_code == 200 and int(cut.headers["Content-Length"]) == len(cut.content)
    assert city.frame("sim-1").picture.startswith(cut.content)
    assert not cut.content.endswith(b"\xff\xd9")


@pytest.mark.parametrize("kind", [Misbehaviour.PNG_BOMB, Misbehaviour.JPEG_BOMB])
def test_bombs_are_small_answers(server: CityServer, kind: Misbehaviour) -> None:
    server.misbehave("sim-1", kind)
    answer = get(server)
    assert answer.status_code == 200 and 0 < len(answer.content) < 200_000


def test_slow_answer_comes_late_and_whole(server: CityServer, city: City) -> None:
    server.misbehave("sim-1", Misbehaviour.SLOW)
    started = time.monotonic()
    assert get(server).content == city.frame("sim-1").picture
    assert time.monotonic() - started >= PACE.slow_s


def test_headers_are_dripped_and_never_end(server: CityServer) -> None:
    server.misbehave("sim-1", Misbehaviour.DRIPPED_HEADERS)
    received = read_raw(server)
    assert received and b"\r\n\r\n" not in received
    assert b"HTTP/1.1 200 OK\r\nX-Padding: drip\r\nX-Padding".startswith(received)


def test_body_is_dripped(server: CityServer, city: City) -> None:
    server.misbehave("sim-1", Misbehaviour.DRIPPED_BODY)
    head, _, body = read_raw(server).partition(b"\r\n\r\n")
    assert b"200 OK" in head and b"Content-Length" in head
    assert body and city.frame("sim-1").picture.startswith(body)
    assert len(body) <= PACE.patience_s / PACE.drip_s + 1


def test_stalled_camera_says_nothing(server: CityServer) -> None:
    server.misbehave("sim-1", Misbehaviour.STALLED)
    started = time.monotonic()
    assert read_raw(server) == b""
    assert time.monotonic() - started >= PACE.patience_s


def test_reset_is_a_connection_error(server: CityServer) -> None:
    server.misbehave("sim-1", Misbehaviour.RESET)
    with pytest.raises(ConnectionResetError):
        read_raw(server)
    assert server.sent["sim-1", Misbehaviour.RESET] == 1


def test_huge_body_declares_no_length(server: CityServer) -> None:
    server.misbehave("sim-1", Misbehaviour.HUGE_BODY)
    with requests.get(server.camera_url("sim-1"), stream=True, timeout=60) as answer:
        assert "Content-Length" not in answer.headers
        received = sum(len(part) for part in answer.iter_content(1 << 20))
    assert received == HUGE_BYTES


def test_client_that_leaves_frees_its_thread(server: CityServer) -> None:
    before = set(threading.enumerate())
    server.misbehave("sim-1", Misbehaviour.HUGE_BODY)
    assert len(read_raw(server, most=100_000)) >= 100_000
    wait_until(lambda: set(threading.enumerate()) <= before)


@pytest.mark.parametrize(
    "kind", [Misbehaviour.STALLED, Misbehaviour.DRIPPED_BODY, Misbehaviour.SLOW]
)
def test_closing_ends_what_is_under_way(city: City, kind: Misbehaviour) -> None:
    hour_s = 3600
    server = serve(city, pace=Pace(hour_s, hour_s, hour_s))
    server.misbehave("sim-1", kind)
    reader = threading.Thread(target=read_raw, args=(server,))
    reader.start()
    wait_until(lambda: server.requests["sim-1"])
    server.close()
    reader.join(30)  # and not as it would itself
    assert not reader.is_alive()


def test_closed_server_answers_no_kept_connection(city: City) -> None:
    server = serve(city)
    with requests.Session() as session:
        assert session.get(f"{server.url}/cameras.json", timeout=60).status_code == 200
        server.close()
        with pytest.raises(requests.ConnectionError):
            session.get(f"{server.url}/cameras.json", timeout=60)


def test_list_is_valid_json_for_a_city_without_cameras() -> None:
    with serve(City(0)) as server:
        assert json.loads(requests.get(f"{server.url}/cameras.json", timeout=60).text) == []
