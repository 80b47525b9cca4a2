from __future__ import annotations

import math
import socket
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager

import httpx
import pytest

from services.labeling.studio.deadlines import TimeIsOver, bound, ending_by, find_left_s


def test_earlier_end_stays() -> None:
    now = time.monotonic()
    with ending_by(now + 600):
        with ending_by(now + 6000):
            assert 60 < find_left_s() <= 600
        with ending_by(now + 60):
            assert find_left_s() <= 60
        assert find_left_s() > 60
    assert find_left_s() == math.inf


def test_end_is_of_the_thread_that_set_it() -> None:
    left_s: list[float] = []
    with ending_by(time.monotonic() + 60):
        thread = threading.Thread(target=lambda: left_s.append(find_left_s()))
        thread.start()
        thread.join()
    assert left_s == [math.inf]


@contextmanager
def ending_soon() -> Iterator[None]:
    """Tells itself from any other timeout, since more time was asked for within."""
    with ending_by(time.monotonic() + 0.2), ending_by(math.inf):
        yield


def take_long() -> Generator[bytes]:
    """A body, whose time begins with it: it is asked for once there is a connection."""
    body = b"x" * 32 * 2**20
    with ending_soon():
        yield body


def test_body_that_nobody_takes_is_left() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        closing(bound(httpx.Client(timeout=60, trust_env=False))) as connections,
        closing(take_long()) as body,
        pytest.raises(TimeIsOver),
    ):
        connections.post(f"http://127.0.0.1:{silent.getsockname()[1]}", content=body)


def test_requests_through_a_proxy_are_bound_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        proxy = f"http://127.0.0.1:{silent.getsockname()[1]}"
        for name in ("http_proxy", "https_proxy"):
            monkeypatch.setenv(name, proxy)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        for url in ("http://studio.example/", "https://studio.example/"):
            with (
                closing(bound(httpx.Client(timeout=60))) as connections,
                ending_soon(),
                pytest.raises(TimeIsOver),
            ):
                connections.get(url)


def test_handshake_that_comes_to_nothing_is_left() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        closing(bound(httpx.Client(timeout=60, trust_env=False))) as connections,
        ending_soon(),
        pytest.raises(TimeIsOver),
    ):
        connections.get(f"https://127.0.0.1:{silent.getsockname()[1]}")


def ask_silent_server(answer_s: float, request_s: float) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        closing(bound(httpx.Client(timeout=answer_s, trust_env=False))) as connections,
        ending_by(time.monotonic() + request_s),
    ):
        connections.get(f"http://127.0.0.1:{silent.getsockname()[1]}")


@pytest.mark.parametrize("run_s", [0.2, 0])
def test_request_cut_off_by_an_earlier_end_is_not_blamed_on_the_server(run_s: float) -> None:
    with (
        ending_by(time.monotonic() + run_s),
        pytest.raises(TimeIsOver, match="not all was asked in time"),
    ):
        ask_silent_server(answer_s=60, request_s=60)


@pytest.mark.parametrize(("answer_s", "request_s"), [(0.2, 1200), (60, 0.2)])
def test_server_that_had_its_time_is_blamed(answer_s: float, request_s: float) -> None:
    with ending_by(time.monotonic() + 600), pytest.raises(httpx.TimeoutException):
        ask_silent_server(answer_s, request_s)
