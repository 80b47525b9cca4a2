"""What no Label Studio in good health does; the rest is in tests/contract/test_studio.py."""

from __future__ import annotations

import json
import logging
import time
import traceback
from collections.abc import Callable
from contextlib import closing
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest

from services.labeling.client import SdkStudio
from services.labeling.studio import transport
from services.labeling.studio.failures import StudioError, StudioRefused, StudioUnavailable
from services.labeling.studio.protocol import NewStudioTask
from tests.stub_studio import Received, Reply, running_stub

LEGACY = "0123456789abcdef0123456789abcdef01234567"
KEY = "k" * 32
PROJECT = {"id": 3, "title": "A", "label_config": "<View/>", "created_at": "2026-11-21T00:00:00Z"}


def write_token(kind: str, ends_in_s: float) -> str:
    claims = {"token_type": kind, "exp": int(time.time() + ends_in_s), "jti": str(time.monotonic())}
    return jwt.encode(claims, KEY, algorithm="HS256")


PERSONAL = write_token("refresh", 10**6)


def refresh_then(
    answer: Callable[[Received], Reply], lives_s: float
) -> Callable[[Received], Reply]:
    def reply(received: Received) -> Reply:
        if received.path.endswith("/api/token/refresh/"):
            assert json.loads(received.body) == {"refresh": PERSONAL}
            return Reply({"access": write_token("access", lives_s)})
        return answer(received)

    return reply


def count_refreshes(received: list[Received]) -> int:
    return sum(one.path.endswith("/api/token/refresh/") for one in received)


def test_personal_token_is_exchanged_once_while_it_lives() -> None:
    with running_stub(refresh_then(lambda received: Reply(PROJECT), 300)) as stub:
        with closing(SdkStudio(stub.url, PERSONAL)) as studio:
            assert [studio.get_project(3).id for _ in range(3)] == [3, 3, 3]
        assert count_refreshes(stub.received) == 1
        assert stub.received[-1].headers["authorization"].startswith("Bearer ")


def test_personal_token_is_exchanged_again_when_it_ended() -> None:
    with running_stub(refresh_then(lambda received: Reply(PROJECT), -1)) as stub:
        with closing(SdkStudio(stub.url, PERSONAL)) as studio:
            assert [studio.get_project(3).id for _ in range(3)] == [3, 3, 3]
        assert count_refreshes(stub.received) == 3


def test_access_token_refused_by_a_faster_clock_is_renewed() -> None:
    refused: list[str] = []

    def answer(received: Received) -> Reply:
        if not refused:
            refused.append(received.headers["authorization"])
            return Reply({"detail": "Given token not valid for any token type"}, status=401)
        return Reply(PROJECT)

    with running_stub(refresh_then(answer, 300)) as stub:
        with closing(SdkStudio(stub.url, PERSONAL)) as studio:
            assert studio.get_project(3).id == 3
        assert count_refreshes(stub.received) == 2


def test_address_below_a_path_is_kept() -> None:
    with running_stub(refresh_then(lambda received: Reply(PROJECT), 300)) as stub:
        with closing(SdkStudio(stub.url + "/label/", PERSONAL)) as studio:
            assert studio.get_project(3).key == f"{stub.url}/label#3@20261121T000000Z"
        assert {received.path for received in stub.received} == {
            "/label/api/token/refresh/",
            "/label/api/projects/3/",
        }


@pytest.mark.parametrize("token", ["", " ", "a b", "a\nb", "jeton-à-moi", "a\0b"])
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(StudioRefused, match="the token"):
        SdkStudio("http://127.0.0.1:1", token)


@pytest.mark.parametrize(
    "token", [write_token("refresh", -10), jwt.encode({"a": 1}, KEY, algorithm="HS256")]
)
def test_ended_token_is_refused(token: str) -> None:
    with pytest.raises(StudioRefused) as caught:
        SdkStudio("http://127.0.0.1:1", token)
    assert token not in str(caught.value)


@pytest.mark.parametrize("token", [LEGACY, PERSONAL])
@pytest.mark.parametrize(
    "reply",
    [
        Reply(b"<html>Sign in</html>"),
        Reply(b"<html>Not found</html>", 404),
        Reply(b"<html>Bad gateway</html>", 502),
        Reply({"detail": "locked"}, 500),
        Reply({"detail": "Invalid token."}, 401),
        Reply({"detail": "not for you"}, 403),
        Reply(status=301, headers=(("Location", "https://elsewhere.test/"),)),
        Reply(cut=True),
        Reply(b"{"),
        Reply(b"null"),
        Reply(b"[]"),
        Reply(b'"text"'),
        Reply({"id": "x", "results": 3, "tasks": 7, "task_ids": [None]}),
        Reply({"tasks": [{"id": 1}], "results": [{}], "next": None, "task_ids": []}),
    ],
)
def test_misbehaviour_is_a_studio_error_without_the_token(
    token: str, reply: Reply, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with running_stub(reply) as stub, closing(SdkStudio(stub.url, token)) as studio:
        for ask in (
            studio.version,
            studio.whoami,
            lambda: studio.find_projects("A"),
            lambda: studio.get_project(3),
            lambda: studio.create_project("A", "<View/>"),
            lambda: studio.import_tasks(3, [NewStudioTask({"image": "x"})]),
            lambda: studio.find_tasks(3, ["a"]),
            lambda: studio.get_task(3),
            lambda: list(studio.list_changed(3, None)),
            lambda: list(studio.list_task_ids(3)),
            lambda: studio.upload(3, "a.jpg", b"x"),
            lambda: studio.ensure_webhook(3, "http://x.test/", {}),
        ):
            with pytest.raises(StudioError) as caught:
                ask()
            shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
            assert token not in shown
        assert token not in repr(studio)
    assert token not in caplog.text


def test_fewer_tasks_than_sent_is_no_success() -> None:
    with running_stub(Reply({"task_ids": [1]})) as stub:
        tasks = [NewStudioTask({"image": "x"})] * 2
        with (
            closing(SdkStudio(stub.url, LEGACY)) as studio,
            pytest.raises(StudioUnavailable, match="1 tasks of 2"),
        ):
            studio.import_tasks(3, tasks)


def test_pages_that_are_too_large_get_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "MAX_ANSWER_BYTES", 3_000)
    sizes: list[int] = []

    def answer(received: Received) -> Reply:
        query = parse_qs(urlsplit(received.path).query)
        conditions = json.loads(query["query"][0])["filters"]["items"]
        first = max((int(one["value"][20:26]) for one in conditions), default=0)
        sizes.append(int(query["page_size"][0]))
        numbers = range(first, min(first + sizes[-1], 6))
        return Reply({"tasks": [row(number) for number in numbers]})

    def row(number: int) -> dict[str, Any]:
        time = f"2026-11-21T08:00:00.{number:06}Z"
        annotations = [{"id": number, "result": ["x" * 1_000]}]
        data = {"image_id": f"cam-{number}"}
        return {"id": number, "updated_at": time, "data": data, "annotations": annotations}

    with running_stub(answer) as stub, closing(SdkStudio(stub.url, LEGACY)) as studio:
        found = [task.image_id for task in studio.list_changed(3, None)]
    assert sizes[:3] == [200, 20, 2]
    assert found == [f"cam-{number}" for number in range(6)]
