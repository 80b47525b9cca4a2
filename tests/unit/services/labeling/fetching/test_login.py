from __future__ import annotations

import base64
from collections.abc import Iterator

from services.labeling.fetching.login import ACCESS_LIFE_S, StudioLogin
from tests.studio_stand_in import PERSONAL_TOKEN


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def numbers() -> Iterator[str]:
    number = 0
    while True:
        number += 1
        yield f"access-{number}"


def make(token: str, clock: Clock | None = None) -> StudioLogin:
    given = numbers()
    return StudioLogin(lambda: token, lambda personal: next(given), clock or Clock())


def test_legacy_token_is_sent_as_it_is() -> None:
    assert make("abc123").headers() == {"Authorization": "Token abc123"}


def test_personal_token_is_exchanged_again_before_its_access_ends() -> None:
    clock = Clock()
    login = make(PERSONAL_TOKEN, clock)
    assert login.headers() == login.headers() == {"Authorization": "Bearer access-1"}
    clock.now_s = ACCESS_LIFE_S - 1
    assert login.headers() == {"Authorization": "Bearer access-1"}
    clock.now_s = ACCESS_LIFE_S
    assert login.headers() == {"Authorization": "Bearer access-2"}


def test_access_token_is_sent_as_the_one_it_is() -> None:
    claims = base64.urlsafe_b64encode(b'{"token_type": "access"}').decode()
    access = f"header.{claims}.signature"
    assert make(access).headers() == {"Authorization": f"Bearer {access}"}


def test_forgotten_header_is_made_anew_from_the_token_as_it_is_now() -> None:
    tokens = iter(["old", "new"])
    login = StudioLogin(lambda: next(tokens), lambda personal: personal)
    assert login.headers() == {"Authorization": "Token old"}
    login.forget()
    assert login.headers() == {"Authorization": "Token new"}


def test_nothing_of_a_token_is_shown() -> None:
    login = make("abc123")
    login.headers()
    assert "abc123" not in repr(login) + str(login)
