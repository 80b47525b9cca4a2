"""The connection to a Label Studio: opened when it is needed, left alone for a while when it fails.

Its token is read from its file each time it is opened, so that a new one needs no restart. Why it
fails is in the catalog, for whoever asks for the status.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from pipeline.catalog.labeling.projects import LabelingProjects
from pipeline.errors import UserError
from pipeline.logs import get_logger
from services.labeling.settings import LabelingSettings, read_secret
from services.labeling.studio.failures import StudioError, StudioRefused
from services.labeling.studio.project import equip, find_project
from services.labeling.studio.protocol import Studio, StudioProject

FIRST_PAUSE_S = 5.0
LONGEST_PAUSE_S = 20.0

log = get_logger(__name__)

OpenStudio = Callable[[str, str], Studio]  # the address and the token; nothing is asked yet


@dataclass(frozen=True)
class Connected:
    """`problems`: what the project could not be given, in words."""

    studio: Studio
    project: StudioProject
    problems: Sequence[str] = ()

    @property
    def key(self) -> str:
        return self.project.key


class Connection:
    """For one thread."""

    def __init__(
        self,
        settings: LabelingSettings,
        projects: LabelingProjects,
        open_studio: OpenStudio,
        clock: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._projects = projects
        self._open_studio = open_studio
        self._clock = clock
        self._connected: Connected | None = None
        self._failures = 0  # in a row
        self._reason = ""
        self._paused_until: datetime | None = None
        if settings.url is None:
            log.info("no Label Studio is connected: nothing is sent to be labelled")

    @property
    def is_configured(self) -> bool:
        return self._settings.url is not None

    @property
    def project(self) -> str | None:
        """The project's key, asked of nobody: None until it was reached once."""
        if self._connected is not None:
            return self._connected.key
        number = self._remember()
        return None if number is None else f"{self._settings.url}#{number}"

    @property
    def reason(self) -> str:
        """Why it failed last; empty where it did not."""
        return self._reason

    @contextmanager
    def session(self) -> Iterator[Connected | None]:
        """None where nothing is connected, or it failed a moment ago.

        Ends quietly where Label Studio fails meanwhile: that is noted, and a later session goes on.
        """
        if not self.is_configured or self._is_paused():
            yield None
            return
        try:
            connected = self._open()
        except StudioError as error:
            self._fail(error)
            yield None
            return
        try:
            yield connected
        except StudioError as error:
            self._fail(error)
        else:
            self._succeed(connected)

    def _open(self) -> Connected:
        if self._connected is None:
            studio = self._open_studio(self._settings.url or "", self._read_token())
            project = find_project(studio, self._settings, self._remember())
            self._projects.contacted(project.key, self._clock())
            problems = equip(studio, self._settings, project)
            self._connected = Connected(studio, project, problems)
        return self._connected

    def _read_token(self) -> str:
        try:
            return read_secret(self._settings.token_file, "the token for Label Studio")
        except UserError as error:  # a person may mend it while we run
            raise StudioRefused(str(error)) from None

    def _remember(self) -> int | None:
        """The number of the project at this address that answered last."""
        address = f"{self._settings.url}#"
        rows = [
            (row.contacted_at, int(row.project.removeprefix(address)))
            for row in self._projects.all()
            if row.contacted_at and row.project.removeprefix(address).isdecimal()
        ]
        return max(rows)[1] if rows else None

    def _is_paused(self) -> bool:
        return self._paused_until is not None and self._clock() < self._paused_until

    def _fail(self, error: StudioError) -> None:
        reason = f"{error}" or type(error).__name__
        if reason != self._reason:
            log.warning("Label Studio fails", url=self._settings.url, reason=reason)
        self._projects.failed(self.project or f"{self._settings.url}#", reason)
        pause_s = min(FIRST_PAUSE_S * 2.0 ** min(self._failures, 16), LONGEST_PAUSE_S)
        self._paused_until = self._clock() + timedelta(seconds=pause_s)
        self._failures += 1
        self._reason = reason
        self.close()

    def close(self) -> None:
        """The next session opens another, with the token as it is then."""
        if self._connected is not None:
            self._connected.studio.close()
        self._connected = None

    def _succeed(self, connected: Connected) -> None:
        if self._reason:
            log.info("Label Studio answers again", url=self._settings.url)
        self._failures, self._reason, self._paused_until = 0, "", None
        self._projects.contacted(connected.key, self._clock())
