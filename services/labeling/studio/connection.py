"""The connection to a Label Studio: opened when it is needed, left alone for a while when it fails.

After a failure of whatever kind of work, its token is read again from its file, so that a new one
needs no restart, and its project is looked for again. Where both are as before, all goes on as it
was. Why it fails is in the catalog, for whoever asks for the status.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from pipeline.catalog.labeling.projects import LabelingProjects
from pipeline.errors import UserError
from pipeline.logs import get_logger
from services.labeling.settings import LabelingSettings
from services.labeling.studio.access import read_token
from services.labeling.studio.failures import StudioError, StudioRefused
from services.labeling.studio.project import equip, find_project, tells_problem
from services.labeling.studio.protocol import Studio, StudioProject

FIRST_PAUSE_S = 5.0
LONGEST_PAUSE_S = 20.0
EQUIPPED_AGAIN_S = 60.0  # where something could not be set up
OPENING = "opening"  # a kind of work like any other, and the first of each session

log = get_logger(__name__)

OpenStudio = Callable[[str, str], Studio]  # the address and the token; nothing is asked yet


@dataclass(frozen=True)
class Connected:
    """`problems`: what the project could not be given so far, in words."""

    studio: Studio
    project: StudioProject
    problems: list[str] = field(default_factory=list)

    @property
    def key(self) -> str:
        return self.project.key


@dataclass(frozen=True)
class _Trouble:
    """`failures` in a row, of one kind of work."""

    reason: str
    failures: int
    paused_until: datetime


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
        self._opened: tuple[str, Studio] | None = None  # with this token
        self._connected: Connected | None = None
        self._is_doubted = False
        self._equip_at = clock()
        self._troubles: dict[str, _Trouble] = {}
        if settings.url is None:
            log.info("no Label Studio is connected: nothing is sent to be labelled")

    @property
    def is_configured(self) -> bool:
        return self._settings.url is not None

    @property
    def project(self) -> str | None:
        """The project's key, asked of nobody: None until it was reached once."""
        return self._connected.key if self._connected is not None else self._remember()

    @property
    def reason(self) -> str:
        """Why it fails, whatever kind of work that is; empty where none does."""
        return "; ".join(dict.fromkeys(one.reason for one in self._troubles.values()))

    @contextmanager
    def session(self, work: str = "work") -> Iterator[Connected | None]:
        """None where nothing is connected, or this kind of work failed a moment ago.

        Ends quietly where Label Studio fails meanwhile: that is noted, and a later session goes on.
        One kind of work that fails keeps no other from its turn.
        """
        if not self.is_configured or self._is_paused(OPENING) or self._is_paused(work):
            yield None
            return
        try:
            connected = self._open()
        except StudioError as error:
            self._fail(OPENING, error)
            yield None
            return
        self._end_opening_trouble()
        try:
            yield connected
        except StudioError as error:
            self._fail(work, error)
        else:
            if self._troubles.pop(work, None):
                log.info("Label Studio answers again", url=self._settings.url, work=work)
            if self._remember() == connected.key:  # else a person connected another meanwhile
                self._note_contact(connected.key)

    def _open(self) -> Connected:
        connected = self._connected
        if connected is None or self._is_doubted or self._remember() != connected.key:
            self._connected = connected = self._find()
            self._is_doubted = False
            self._note_contact(connected.key)
        if self._clock() >= self._equip_at:
            self._equip(connected)
        return connected

    def _find(self) -> Connected:
        """The same again where nothing changed: somebody may be half-way through a comparison."""
        studio = self._take_studio(self._read_token())
        project = find_project(studio, self._settings, self._known())
        before = self._connected
        if before is None or before.key != project.key:
            self._equip_at = self._clock()
            return Connected(studio, project)
        return before if before.studio is studio else replace(before, studio=studio)

    def _take_studio(self, token: str) -> Studio:
        if self._opened is None or self._opened[0] != token:
            studio = self._open_studio(self._settings.url or "", token)
            self._close_studio()
            self._opened = token, studio
        return self._opened[1]

    def _equip(self, connected: Connected) -> None:
        """Again from time to time: what refused may take it now, a person may have taken something
        away over there, or changed a secret here."""
        every_s = self._settings.compare_every_s
        soon_s = min(EQUIPPED_AGAIN_S, every_s)
        self._equip_at = self._clock() + timedelta(seconds=soon_s)  # also where it is cut off
        problems = equip(connected.studio, self._settings, connected.project)
        if not problems:
            self._equip_at = self._clock() + timedelta(seconds=every_s)
        connected.problems[:] = problems
        self._projects.renote(connected.key, problems, tells_problem)

    def _read_token(self) -> str:
        if self._settings.token_file is None:
            raise StudioRefused("no file is named that holds the token for Label Studio")
        try:
            return read_token(self._settings.token_file).token
        except UserError as error:  # a person may mend it while we run
            raise StudioRefused(str(error)) from None

    def _remember(self) -> str | None:
        """The key of the project at this address that answered last."""
        return next(iter(self._known()), None)

    def _known(self) -> Sequence[str]:
        """Keys of the projects at this address that answered, the last one first."""
        here = [
            (row.contacted_at, row.project)
            for row in self._projects.all()
            if row.contacted_at and row.project.rpartition("#")[0] == self._settings.url
        ]
        return [key for _, key in sorted(here, reverse=True)]

    def _is_paused(self, work: str) -> bool:
        trouble = self._troubles.get(work)
        return trouble is not None and self._clock() < trouble.paused_until

    def _fail(self, work: str, error: StudioError) -> None:
        reason = f"{error}" or type(error).__name__
        before = self._troubles.get(work)
        if before is None or before.reason != reason:
            log.warning("Label Studio fails", url=self._settings.url, work=work, reason=reason)
        failures = before.failures if before else 0
        pause_s = min(FIRST_PAUSE_S * 2.0 ** min(failures, 16), LONGEST_PAUSE_S)
        until = self._clock() + timedelta(seconds=pause_s)
        self._troubles[work] = _Trouble(reason, failures + 1, until)
        self._projects.failed(self.project or f"{self._settings.url}#", self.reason)
        self._is_doubted = True

    def _end_opening_trouble(self) -> None:
        """What kept it from being opened kept other work from being done as well."""
        over = self._troubles.pop(OPENING, None)
        if over is not None:
            log.info("Label Studio answers again", url=self._settings.url)
            for work, trouble in tuple(self._troubles.items()):
                if trouble.reason == over.reason:
                    del self._troubles[work]

    def _note_contact(self, project: str) -> None:
        self._projects.contacted(project, self._clock())
        if self._troubles:
            self._projects.failed(project, self.reason)

    def close(self) -> None:
        """A session after that opens another."""
        self._close_studio()
        self._connected = None

    def _close_studio(self) -> None:
        if self._opened is not None:
            self._opened[1].close()
        self._opened = None
