from __future__ import annotations

from typing import Any

import pytest

from services.labeling.studio.answers import (
    MAX_REASON,
    Answer,
    NoAnswer,
    NotThere,
    find_reason,
    read_answer,
    understanding,
)
from services.labeling.studio.failures import StudioError, StudioRefused, StudioUnavailable

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
        (Answer(403, b'["no"]'), StudioRefused, "no reason given; .* user do that there"),
        (
            Answer(413, b"<html>413 Request Entity"),
            StudioRefused,
            "\\(413\\).* client_max_body_size",
        ),
        (Answer(413, b"{}"), StudioRefused, "\\(413\\).* client_max_body_size"),
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


@pytest.mark.parametrize(
    ("answer", "blames"),
    [
        (Answer(400, b"{}"), True),
        (Answer(413, b"<html>"), True),
        (Answer(301, b"", "https://x.test/"), False),
        (Answer(401, b"{}"), False),
        (Answer(403, b"{}"), False),
        (Answer(404, b"{}"), False),
        (Answer(405, b"{}"), False),
    ],
)
def test_refusal_says_whether_what_was_sent_is_to_blame(answer: Answer, blames: bool) -> None:
    with pytest.raises(StudioRefused) as caught:
        read_answer(URL, answer)
    assert (caught.value.status, caught.value.blames_content) == (answer.status, blames)


def test_page_and_missing_are_told_apart() -> None:
    with pytest.raises(NoAnswer) as caught:
        read_answer(URL, Answer(404, b"<html>"))
    assert caught.value.status == 404
    assert not isinstance(caught.value, NotThere)


@pytest.mark.parametrize("value", [None, 3, [], {}, {"detail": ["a", {"b": 1}]}])
def test_reason_of_anything_is_a_line(value: Any) -> None:
    assert "\n" not in find_reason(value)


SENT = {"image": f"http://h/a.jpg?signature={'0f' * 32}", "source": 'l\'été "x"'}
ECHO = f'Error at item 0: "note" key is expected :: {SENT}'


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (
            {"validation_errors": {"non_field_errors": [{}, {}, ECHO, {}]}},
            '{"non_field_errors": ["Error at item 0: \\"note\\" key is expected", {}]}',
        ),
        ({"validation_errors": [ECHO, ECHO]}, None),
        ({"detail": ECHO}, 'Error at item 0: "note" key is expected'),
        ({"detail": f"data['image']={SENT['image']} is of type 'str'"}, None),
        ({"detail": {"url": f"s3?a=1&X-Amz-Signature={'0f' * 32}&b=2"}}, None),
    ],
)
def test_reason_does_not_repeat_what_was_sent(value: Any, reason: str | None) -> None:
    found = find_reason(value)
    assert "0f0f" not in found
    assert "été" not in found
    assert reason in (None, found)


def test_reason_that_is_cut_keeps_what_comes_after_the_good_tasks() -> None:
    errors = [*[{}] * 249, 'Error at item 249: no "note" :: {}']
    assert 'no \\"note\\"' in find_reason({"validation_errors": {"non_field_errors": errors}})


def test_long_reason_is_cut() -> None:
    assert len(find_reason({"detail": "word\n" * 10_000})) == MAX_REASON + 1


@pytest.mark.parametrize("error", [KeyError("a"), TypeError(), ValueError("b"), AttributeError()])
def test_other_servers_json_is_unavailable(error: Exception) -> None:
    with pytest.raises(StudioUnavailable, match="as a Label Studio does"), understanding(URL):
        raise error
