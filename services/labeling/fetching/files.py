"""Files and lists read from a Label Studio, with patience; its token goes nowhere else.

Unlike services.labeling.client it needs no SDK, and gives bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urljoin, urlsplit

from pipeline.connections import is_local
from pipeline.errors import FetchError, UserError
from pipeline.labels.addresses import is_on, server_of
from pipeline.records import Outcome
from services.labeling.fetching.login import StudioLogin
from services.labeling.fetching.session import Answer, PatientSession, name_of
from services.labeling.studio.failures import (
    ProjectMissing,
    StudioError,
    StudioRefused,
    StudioUnavailable,
)

OK, REDIRECTS, BAD_REQUEST, UNAUTHORIZED, NOT_FOUND = 200, 300, 400, 401, 404
MAX_REDIRECTS = 3


class StudioFiles:
    """One Label Studio, and what its tasks point to. `read_token` gives a legacy token or a
    personal access token; it is asked again where one was refused, and its answer never shown."""

    def __init__(
        self, url: str, read_token: Callable[[], str], session: PatientSession | None = None
    ) -> None:
        self.url = check_url(url)
        # A company's own may be called labels.company.com, and have an address of its network.
        self._session = session or PatientSession(trusted=frozenset({server_of(self.url)}))
        self._login = StudioLogin(read_token, self._exchange)

    def __repr__(self) -> str:
        return f"StudioFiles({self.url!r})"

    def close(self) -> None:
        self._session.close()

    def owns(self, address: str) -> bool:
        """Whether `address` is on this very server, and brings no name and password of its own."""
        return is_on(address, self.url)

    def get_json(self, path: str) -> Any:
        """What the API answers. Raises StudioUnavailable, StudioRefused, ProjectMissing (404)."""
        body = self.get_api(path)
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            raise StudioUnavailable(f"{self.url} answered something other than JSON") from None

    def get_api(self, path: str) -> bytes:
        try:
            answer = self._session.retry(lambda: self._ask(self.url + path))
        except FetchError as error:
            raise StudioUnavailable(error.reason) from error
        if answer.status != OK:
            raise self._explain(answer, path)
        return answer.body

    def download(self, address: str) -> bytes:
        """The bytes at an absolute address, through redirects. Raises FetchError, and StudioError
        where the token is not taken."""
        return self._session.retry(lambda: self._follow(address)).body

    def _follow(self, address: str) -> Answer:
        """Only the first request may carry the token: no target of a redirect does."""
        self._check_public(address)
        mine = self.owns(address)
        answer = self._ask(address) if mine else self._session.ask(address, {})
        for _ in range(MAX_REDIRECTS):
            if not REDIRECTS <= answer.status < BAD_REQUEST or "location" not in answer.headers:
                break
            address = _join(address, answer.headers["location"])
            self._check_public(address)
            answer = self._session.ask(address, {})
        if answer.status != OK:
            raise FetchError(Outcome.HTTP_ERROR, f"{name_of(address)} answered {answer.status}")
        return answer

    def _check_public(self, address: str) -> None:
        """A Label Studio out in the world names no address of the network we are in."""
        name = name_of(address)
        if self.owns(address) or is_local(urlsplit(self.url).hostname or ""):
            return
        if is_local(urlsplit(address).hostname or ""):
            told = f"{name} is not public, and {self.url} is"
            raise FetchError(Outcome.FORBIDDEN_ADDRESS, told)

    def _ask(self, address: str) -> Answer:
        """With the token; once more with a new one where it was refused."""
        answer = self._session.ask(address, self._login.headers())
        if answer.status == UNAUTHORIZED:
            self._login.forget()
            answer = self._session.ask(address, self._login.headers())
        if answer.status == UNAUTHORIZED:
            raise StudioRefused(f"{self.url} does not take the token")
        return answer

    def _exchange(self, token: str) -> str:
        """The access token that a personal access token is worth for 300 seconds."""
        answer = self._session.ask(f"{self.url}/api/token/refresh/", {}, {"refresh": token})
        if REDIRECTS <= answer.status < BAD_REQUEST:
            raise self._explain(answer, "")
        try:
            access = json.loads(answer.body)["access"]
        except (ValueError, KeyError, TypeError, RecursionError):
            access = None
        if answer.status != OK or not isinstance(access, str):
            raise StudioRefused(f"{self.url} does not take the token")
        return access

    def _explain(self, answer: Answer, path: str) -> StudioError:
        if answer.status == NOT_FOUND:
            return ProjectMissing(f"{self.url} has no {path.partition('?')[0]}")
        if "location" in answer.headers:
            target = name_of(_join(self.url, answer.headers["location"]))
            return StudioRefused(f"{self.url} redirects to {target}: is its address another?")
        return StudioRefused(f"{self.url} answered {answer.status}")


def check_url(url: str) -> str:
    """`url` without its last slash; UserError for what is no address of a server."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise UserError("the address of Label Studio is not valid") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UserError("the address of Label Studio begins with http:// or https://")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise UserError("the address of Label Studio has no user, password or query")
    return url.rstrip("/")


def _join(address: str, target: str) -> str:
    try:
        return urljoin(address, target)
    except ValueError:
        raise FetchError(Outcome.HTTP_ERROR, f"{name_of(address)} redirects nowhere") from None
