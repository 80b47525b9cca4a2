from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest

from pipeline import keys
from pipeline.errors import UserError
from pipeline.messages import FollowChanges, Message
from services.labeling import api
from services.labeling.api import MAX_BODY_BYTES, make_api, serving
from services.labeling.settings import ImageAccess
from services.labeling.signing import sign_address
from services.labeling.studio.project import SECRET_HEADER
from services.labeling.webhook import Doorbell
from tests.round_trip import RoundTrip
from tests.waiting import wait_until

SECRET = {SECRET_HEADER: "knock knock"}


class Served:
    def __init__(self, port: int, published: list[Message]) -> None:
        self.port = port
        self.published = published

    def ask(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read()


@contextmanager
def serve(
    trip: RoundTrip, before_publishing: Callable[[], object] = lambda: None
) -> Iterator[Served]:
    published: list[Message] = []

    def publish(message: Message) -> None:
        before_publishing()
        published.append(message)

    app = make_api(trip.settings, trip.workspace.store, Doorbell(publish, within_s=0.05))
    with serving(app, "127.0.0.1", 0) as port:
        yield Served(port, published)


def test_health_is_told(trip: RoundTrip) -> None:
    with serve(trip) as served:
        assert served.ask("GET", "/health") == (200, b'{"status":"UP"}')


def test_answers_are_not_held_back_for_the_next_packet(
    trip: RoundTrip, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the second image of a connection is 40 ms late: connections inherit it from here."""
    made: list[socket.socket] = []
    create_server = socket.create_server

    def keep(address: tuple[str, int]) -> socket.socket:
        made.append(create_server(address))
        return made[-1]

    monkeypatch.setattr(socket, "create_server", keep)
    with serve(trip):
        [listening] = made
        assert listening.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.parametrize("path", ["/health/", "/webhook/"])
def test_slash_too_many_is_not_found_and_leads_nowhere(trip: RoundTrip, path: str) -> None:
    """Its redirect would go to whatever host the request names."""
    with serve(trip) as served:
        assert served.ask("GET", path, headers={"Host": "evil.test"})[0] == 404


def test_webhook_is_answered_at_once_and_passed_on_as_a_hint(trip: RoundTrip) -> None:
    """Label Studio waits for a second: less than a broker may take."""
    answered = threading.Event()
    with serve(trip, lambda: answered.wait(60)) as served:
        for _ in range(5):  # replayed
            assert served.ask("POST", "/webhook", b'{"action": "x"}', SECRET) == (204, b"")
        assert served.published == []
        answered.set()
        wait_until(lambda: served.published)
        assert len(served.published) <= 5
        assert set(map(type, served.published)) == {FollowChanges}


@pytest.mark.parametrize(
    "headers", [{}, {SECRET_HEADER: "guess"}, {"Authorization": "knock knock"}]
)
def test_forged_webhook_is_refused(trip: RoundTrip, headers: dict[str, str]) -> None:
    with serve(trip) as served:
        assert served.ask("POST", "/webhook", b"{}", headers)[0] == 401
        time.sleep(0.1)
        assert served.published == []


def test_webhook_without_a_secret_of_ours_knows_nobody(trip: RoundTrip) -> None:
    trip.set(webhook_secret_file=None)
    with serve(trip) as served:
        assert served.ask("POST", "/webhook", b"{}", {SECRET_HEADER: ""})[0] == 401


def test_payload_is_neither_read_to_its_end_nor_logged(
    trip: RoundTrip,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(api, "BODY_WITHIN_S", 60)  # for an end that does not come
    caplog.set_level(logging.DEBUG)
    longer = SECRET | {"Content-Length": str(2 * MAX_BODY_BYTES)}
    body = b'{"project": {"token": "7f3a-do-not-show"}, "x": "' + b"a" * MAX_BODY_BYTES + b'"}'
    with serve(trip) as served:
        assert served.ask("POST", "/webhook", body, longer)[0] == 204
        assert served.ask("POST", "/webhook", b"not json at all \xff", SECRET)[0] == 204
        wait_until(lambda: served.published)
    assert "7f3a-do-not-show" not in caplog.text + "".join(capsys.readouterr())


def test_webhook_whose_body_never_comes_is_answered(trip: RoundTrip) -> None:
    with serve(trip) as served, closing(HTTPConnection("127.0.0.1", served.port)) as connection:
        connection.putrequest("POST", "/webhook")
        connection.putheader("Content-Length", "100")
        connection.putheader(*next(iter(SECRET.items())))
        connection.endheaders()
        connection.sock.settimeout(60)
        assert connection.getresponse().status == 204


def test_image_is_given_for_a_signed_address_alone(trip: RoundTrip) -> None:
    image, other = trip.detect(), trip.detect()
    base = trip.settings.images_url
    path = sign_address(base, "a secret", image).removeprefix(base)
    stored = trip.workspace.store.get(keys.stored_image(image)).data
    with serve(trip) as served:
        assert served.ask("GET", path) == (200, stored)
        for wrong in (
            path.replace(image, other),
            path.partition("?")[0],
            path[:-1] + ("0" if path[-1] != "0" else "1"),
            "/images/..%2F..%2Ftoken?signature=00",
        ):
            assert served.ask("GET", wrong)[0] in {403, 404}


def test_images_are_not_served_where_label_studio_has_them_otherwise(trip: RoundTrip) -> None:
    trip.set(images=ImageAccess.S3)
    image = trip.detect()
    base = trip.settings.images_url
    with serve(trip) as served:
        path = sign_address(base, "a secret", image).removeprefix(base)
        assert served.ask("GET", path)[0] == 404


def test_port_that_is_taken_is_told(trip: RoundTrip, tmp_path: Path) -> None:
    with serve(trip) as served, pytest.raises(UserError, match="cannot listen on"):
        app = make_api(trip.settings, trip.workspace.store, Doorbell(lambda message: None))
        with serving(app, "127.0.0.1", served.port):
            pass
