"""The header that a Label Studio's token is worth: a legacy token's own, or a short-lived one."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from services.labeling.studio.access import TokenKind, tell_kind

ACCESS_LIFE_S = 240.0  # Label Studio says 300


class StudioLogin:
    """Keeps the header for as long as it is good. `exchange` gives a personal access token's
    access token."""

    def __init__(
        self,
        read: Callable[[], str],
        exchange: Callable[[str], str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read, self._exchange, self._clock = read, exchange, clock
        self._header: str | None = None
        self._good_until_s = 0.0

    def __repr__(self) -> str:
        return "StudioLogin(***)"

    def headers(self) -> Mapping[str, str]:
        """Reads the token anew where the header has aged or was forgotten."""
        if self._header is None or self._clock() >= self._good_until_s:
            self._good_until_s = self._clock() + ACCESS_LIFE_S
            self._header = self._make_header(self._read())
        return {"Authorization": self._header}

    def forget(self) -> None:
        """It was refused: a person may have put another token in its file."""
        self._header = None

    def _make_header(self, token: str) -> str:
        match tell_kind(token):
            case TokenKind.LEGACY:
                return f"Token {token}"
            case TokenKind.PERSONAL:
                return f"Bearer {self._exchange(token)}"
            case TokenKind.ACCESS:
                return f"Bearer {token}"
