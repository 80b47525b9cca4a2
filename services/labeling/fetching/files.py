"""Files and lists read from a Label Studio, with patience; its token goes nowhere else.

Unlike services.labeling.client it needs no SDK, gives bytes, and follows the redirects of images.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, BinaryIO
from urllib.parse import urljoin, urlsplit

from pipeline.connections import Trusted, is_local
from pipeline.errors import FetchError
from pipeline.labels.addresses import is_on, server_of
from pipeline.records import Outcome
from services.labeling.fetching.login import StudioLogin
from services.labeling.fetching.session import OK, Download, PatientSession, name_of
from services.labeling.studio.access import read_url
from services.labeling.studio.answers import Answer, read_answer, understanding
from services.labeling.studio.failures import ProjectMissing, StudioUnavailable

REDIRECTS, BAD_REQUEST, UNAUTHORIZED, NOT_FOUND = 300, 400, 401, 404
MAX_REDIRECTS = 3


class StudioFiles:
    """One Label Studio, and what its tasks point to.

    `read_token` gives a legacy token or a personal access token; it is asked again where one was
    refused, and its answer never shown. `neighbours`: the servers of our own network that images
    may come from, beside this one; None: any, if this one is in it as well.
    """

    def __init__(
        self,
        url: str,
        read_token: Callable[[], str],
        session: PatientSession | None = None,
        neighbours: Trusted | None = None,
    ) -> None:
        self.url = read_url(url)
        # A company's own may be called labels.company.com, and have an address of its network.
        self._session = session or PatientSession(trusted=frozenset({server_of(self.url)}))
        self._login = StudioLogin(read_token, self._exchange)
        self._neighbours = neighbours

    def __repr__(self) -> str:
        return f"StudioFiles({self.url!r})"

    def close(self) -> None:
        self._session.close()

    def owns(self, address: str) -> bool:
        """Whether `address` is on this very server, and brings no name and password of its own."""
        return is_on(address, self.url)

    def get_json(self, path: str) -> Any:
        """What the API answers. Raises StudioUnavailable, StudioRefused, ProjectMissing (404)."""
        try:
            answer = self._session.retry(lambda: self._ask(self.url + path))
        except FetchError as error:
            raise StudioUnavailable(error.reason) from error
        return self._understand(answer, path)

    def save(self, path: str, file: BinaryIO) -> None:
        """What the API answers, however long, into a file. Raises as get_json does.

        Asked for once: Label Studio keeps a copy of every export it makes.
        """
        try:
            answer = self._ask(self.url + path, Download(file))
        except FetchError as error:
            raise StudioUnavailable(error.reason) from error
        if answer.status != OK:
            self._understand(answer, path)
            raise StudioUnavailable(f"{self.url} answered {answer.status}")

    def download(self, address: str) -> bytes:
        """The bytes at an absolute address, through redirects. Raises FetchError, and StudioError
        where the token is not taken."""
        return self._session.retry(lambda: self._follow(address)).body

    def _follow(self, address: str) -> Answer:
        """Only the first request may carry the token: no target of a redirect does."""
        self._check_place(address)
        mine = self.owns(address)
        answer = self._ask(address) if mine else self._session.ask(address, {})
        for _ in range(MAX_REDIRECTS):
            if not REDIRECTS <= answer.status < BAD_REQUEST or answer.location is None:
                break
            address = _join(address, answer.location)
            self._check_place(address)
            answer = self._session.ask(address, {})
        if answer.status != OK:
            raise FetchError(Outcome.HTTP_ERROR, f"{name_of(address)} answered {answer.status}")
        return answer

    def _check_place(self, address: str) -> None:
        """What a task names may not make us ask around in the network that we are in."""
        name = name_of(address)
        if self.owns(address) or not is_local(urlsplit(address).hostname or ""):
            return
        if self._neighbours is None and not is_local(urlsplit(self.url).hostname or ""):
            told = f"{name} is not public, and {self.url} is"
            raise FetchError(Outcome.FORBIDDEN_ADDRESS, told)
        if self._neighbours is not None and server_of(address) not in self._neighbours:
            told = f"{name} is in our own network, and not in FETCH_IMAGE_SERVERS"
            raise FetchError(Outcome.FORBIDDEN_ADDRESS, told)

    def _ask(self, address: str, into: Download | None = None) -> Answer:
        """With the token; once more with a new one where it was refused."""
        answer = self._session.ask(address, self._login.headers(), into=into)
        if answer.status == UNAUTHORIZED:
            self._login.forget()
            answer = self._session.ask(address, self._login.headers(), into=into)
        if answer.status == UNAUTHORIZED:
            self._understand(answer, address)
        return answer

    def _exchange(self, token: str) -> str:
        """The access token that a personal access token is worth for 300 seconds."""
        path = "/api/token/refresh/"
        answer = self._session.ask(self.url + path, {}, {"refresh": token})
        with understanding(self.url):
            access = self._understand(answer, path)["access"]
            if not isinstance(access, str):
                raise TypeError
        return access

    def _understand(self, answer: Answer, path: str) -> Any:
        if answer.status == NOT_FOUND:  # of a project's export it is a page
            raise ProjectMissing(f"{self.url} has no {path.partition('?')[0]}")
        with understanding(self.url):
            return read_answer(self.url, answer)


def _join(address: str, target: str) -> str:
    try:
        return urljoin(address, target)
    except ValueError:
        raise FetchError(Outcome.HTTP_ERROR, f"{name_of(address)} redirects nowhere") from None
