from __future__ import annotations

from typing import Any

import pytest

from services.labeling.answers import (
    MAX_REASON,
    Answer,
    NoAnswer,
    NotThere,
    find_reason,
    read_answer,
    understanding,
)
from services.labeling.failures import StudioError, StudioRefused, StudioUnavailable

URL = "http://studio.test"


def test_success_is_its_json() -> None:
    assert read_answer(URL, Answer(201, b'{"id": 3}')) == {"id": 3}
    assert read_answer(URL, Answer(204, b"")) is None


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (Answer(200, b"<html>Sign in"), NoAnswer, "a page that is no answer"),
        (Answer(200, b""), NoAnswer, "no answer"),
        (Answer(200, b"[" * 100_000), NoAnswer, "no answer"),
        (Answer(404, b"<html>"), NoAnswer, "404"),
        (Answer(502, b"<html>Bad Gateway"), StudioUnavailable, "502"),
        (Answer(500, b'{"detail": "locked"}'), StudioUnavailable, "500: locked"),
        (Answer(429, b'{"detail": "slower"}'), StudioUnavailable, "slower"),
        (Answer(404, b'{"detail": "No Task"}'), NotThere, "No Task"),
        (Answer(400, b'{"validation_errors": {"a": ["b"]}}'), StudioRefused, '"a": \\["b"\\]'),
        (Answer(403, b'["no"]'), StudioRefused, "no reason given"),
        (Answer(401, b'{"detail": "Invalid token."}'), StudioRefused, "another server's"),
        (Answer(401, b'{"detail": "Token is blacklisted"}'), StudioRefused, "revoked"),
        (Answer(401, b'{"detail": "Odd"}'), StudioRefused, "refuses the token: Odd"),
        (Answer(301, b"", "https://a:b@x.test/y"), StudioRefused, "to https://x.test: connect"),
        (Answer(302, b"", "/user/login/?next=/"), StudioRefused, "asks for a sign-in"),
        (Answer(308, b"", None), StudioRefused, "redirects"),
    ],
)
def test_failure_is_told(answer: Answer, error: type[StudioError], words: str) -> None:
    with pytest.raises(error, match=words):
        read_answer(URL, answer)


def test_page_and_missing_are_told_apart() -> None:
    with pytest.raises(NoAnswer) as caught:
        read_answer(URL, Answer(404, b"<html>"))
    assert caught.value.status == 404
    assert not isinstance(caught.value, NotThere)


@pytest.mark.parametrize("value", [None, 3, [], {}, {"detail": ["a", {"b": 1}]}])
def test_reason_of_anything_is_a_line(value: Any) -> None:
    assert "\n" not in find_reason(value)


def test_long_reason_is_cut() -> None:
    assert len(find_reason({"detail": "word\n" * 10_000})) == MAX_REASON + 1


@pytest.mark.parametrize("error", [KeyError("a"), TypeError(), ValueError("b"), AttributeError()])
def test_other_servers_json_is_unavailable(error: Exception) -> None:
    with pytest.raises(StudioUnavailable, match="as a Label Studio does"), understanding(URL):
        raise error
