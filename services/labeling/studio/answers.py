"""What an answer of Label Studio's means: the value in it, or what is wrong in words for a person.

Nothing of a request is ever in those words, and of an answer only what it gives as its reason.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

from services.labeling.studio.failures import StudioError, StudioRefused, StudioUnavailable

MAX_REASON = 300
_ECHO = re.compile(r"\s*::\s(?:[^\"\\]|\\.)*")  # what was sent, to the end of the JSON string
_SIGNATURE = re.compile(r"(signature=)[^&\s\"'\\]+", re.IGNORECASE)
_LATER = (408, 425, 429)
_NO_REASON = "no reason given; its log may have one"
_TOO_LARGE = (
    "takes no request of that size (413). Perhaps a proxy before it does not: "
    "client_max_body_size, where that is nginx"
)
_ADVICE = {403: ". May the token's user do that there?"}
_TOKEN_UNKNOWN = "does not know the token: it was revoked, or is another server's"
_REASONS = {
    "legacy token authentication has been disabled": (
        "has legacy tokens switched off: use a personal access token, or switch them on there "
        "(Organization, Access Token Settings)"
    ),
    "invalid token": _TOKEN_UNKNOWN,
    "token is invalid": _TOKEN_UNKNOWN,
    "token is blacklisted": "says that the token was revoked",
    "credentials were not provided": _TOKEN_UNKNOWN,
}


class NotThere(StudioRefused):
    """A 404, said as Label Studio says it."""


class NoAnswer(StudioUnavailable):
    """Something else answers there: a page, or what is not JSON. `status` is its status."""

    def __init__(self, words: str, status: int) -> None:
        super().__init__(words)
        self.status = status


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    location: str | None = None


def read_answer(url: str, answer: Answer) -> Any:
    """What JSON it holds, None where it is empty; a StudioError for everything but a success."""
    if 300 <= answer.status < 400:
        raise _redirected(url, answer)
    if answer.status in (204, 205):
        return None
    try:
        value = json.loads(answer.body)
    except (ValueError, RecursionError):
        raise _without_json(url, answer) from None
    if answer.status < 300:
        return value
    raise explain(url, answer.status, value)


def explain(url: str, status: int, value: Any) -> StudioError:
    """The error for an answer that is none: `value` is what it held."""
    reason = find_reason(value)
    if status >= 500 or status in _LATER:
        return StudioUnavailable(f"{url} answered {status}: {reason}")
    if status == 401:
        known = (words for part, words in _REASONS.items() if part in reason.lower())
        return StudioRefused(f"{url} {next(known, f'refuses the token: {reason}')}", status)
    if status == 404:
        return NotThere(f"{url} answered 404: {reason}", status)
    if status == 413:
        return StudioRefused(f"{url} {_TOO_LARGE}", status)
    return StudioRefused(f"{url} refuses ({status}): {reason}{_ADVICE.get(status, '')}", status)


def find_reason(value: Any) -> str:
    """The reason that an error's body gives, on one line, without the task that it repeats."""
    if not isinstance(value, dict):
        return _NO_REASON
    errors = value.get("validation_errors")
    reason = errors if errors else value.get("detail", _NO_REASON)
    line = _SIGNATURE.sub(r"\1…", " ".join(_write(reason).split()))
    return line if len(line) <= MAX_REASON else line[:MAX_REASON] + "…"


def _write(reason: Any) -> str:
    if isinstance(reason, str):
        return reason.partition(" :: ")[0]
    text = json.dumps(reason, ensure_ascii=False).replace("{}, ", "")  # one of each good task
    return _ECHO.sub("", text)


def _redirected(url: str, answer: Answer) -> StudioError:
    target = urlsplit(urljoin(url, answer.location or ""))
    place = f"{target.scheme}://{target.netloc.rpartition('@')[2]}"
    if "/login" in target.path:
        words = "asks for a sign-in: its address may lack a part"
    else:
        words = f"redirects to {place}: connect to that address"
    return StudioRefused(f"{url} {words}", answer.status)


def _without_json(url: str, answer: Answer) -> StudioError:
    if answer.status == 413:
        return StudioRefused(f"{url} {_TOO_LARGE}", answer.status)
    words = "a page" if answer.body.lstrip()[:1] == b"<" else "something"
    return NoAnswer(
        f"{url} answered {answer.status} with {words} that is no answer of a Label Studio's",
        answer.status,
    )


@contextmanager
def understanding(url: str) -> Iterator[None]:
    """Around what reads an answer: something else than a Label Studio may have given it."""
    try:
        yield
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        kind = type(error).__name__
        raise StudioUnavailable(f"{url} does not answer as a Label Studio does ({kind})") from None
