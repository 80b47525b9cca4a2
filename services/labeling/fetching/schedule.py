"""A folder kept as a project's own YOLO export has it now, each label with its image.

For a Label Studio that others look after: what it is asked for is what a person exports by hand.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from pipeline.errors import PipelineError, UserError
from pipeline.labels.addresses import server_of
from pipeline.logs import get_logger
from services.labeling.fetching.files import StudioFiles
from services.labeling.fetching.images import fetch_export
from services.labeling.fetching.report import FetchOptions, FetchReport
from services.labeling.fetching.session import Answer, Patience, PatientSession
from services.labeling.studio.access import read_token, read_url

AFTER_A_FAILURE_S = 300.0
STEP_S = 5.0  # between two signs of life

log = get_logger(__name__)


class FetchSettings(BaseSettings):
    """From `FETCH_…`. The token is read from its file each time: a new one needs no restart."""

    model_config = SettingsConfigDict(env_prefix="FETCH_", frozen=True, env_ignore_empty=True)

    url: str | None = None
    project: int | None = Field(default=None, ge=1)  # its number there
    token_file: Path | None = None
    into: Path = Path("/fetched")
    every_s: float = Field(default=3600.0, gt=0)
    images_per_s: float = Field(default=5.0, gt=0)


@dataclass(frozen=True)
class Export:
    """What is fetched, and from where."""

    url: str
    project: int
    token_file: Path
    into: Path
    images_per_s: float

    @classmethod
    def wanted_by(cls, settings: FetchSettings) -> Export:
        """UserError where the settings do not say what is wanted."""
        url, project, token_file = settings.url, settings.project, settings.token_file
        if url is None or project is None or token_file is None:
            named = {"URL": url, "PROJECT": project, "TOKEN_FILE": token_file}
            missing = [f"FETCH_{name}" for name, value in named.items() if value is None]
            raise UserError(f"what is to be fetched? Set {', '.join(missing)}")
        return cls(read_url(url), project, token_file, settings.into, settings.images_per_s)


class Rest:
    """Sleeps that show signs of life meanwhile."""

    def __init__(
        self, alive: Callable[[], None], sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.alive, self._sleep = alive, sleep

    def __call__(self, seconds: float) -> None:
        while seconds > 0:
            self.alive()
            self._sleep(min(seconds, STEP_S))
            seconds -= STEP_S
        self.alive()


class _LivelySession(PatientSession):
    """Each request, which ends within its deadline, is a sign of life."""

    def __init__(self, url: str, rest: Rest) -> None:
        super().__init__(patience=Patience(sleep=rest), trusted=frozenset({server_of(url)}))
        self._rest = rest

    def ask(
        self, url: str, headers: Mapping[str, str], posted: Mapping[str, str] | None = None
    ) -> Answer:
        self._rest.alive()
        return super().ask(url, headers, posted)


def fetch_for_ever(export: Export, every_s: float, rest: Rest) -> None:
    while True:
        succeeded = try_to_fetch(export, rest)
        rest(every_s if succeeded else min(every_s, AFTER_A_FAILURE_S))


def try_to_fetch(export: Export, rest: Rest) -> bool:
    """Whether it came to its end; what was fetched of one that did not stays for the next."""
    try:
        report = _fetch(export, rest)
    except PipelineError as error:
        log.warning("not fetched", url=export.url, project=export.project, reason=str(error))
        return False
    except Exception:  # the loop goes on, whatever it was
        log.exception("not fetched", url=export.url, project=export.project)
        return False
    log.info(
        "fetched",
        url=export.url,
        project=export.project,
        new=len(report.fetched),
        there=len(report.already_there),
        missing=len(report.missing) + len(report.ambiguous) + len(report.not_images),
    )
    return True


def _fetch(export: Export, rest: Rest) -> FetchReport:
    session = _LivelySession(export.url, rest)
    files = StudioFiles(export.url, lambda: read_token(export.token_file).token, session)
    with closing(files) as studio:
        options = FetchOptions(
            images_per_s=export.images_per_s,
            progress=lambda done, total: rest.alive(),
            sleep=rest,
        )
        return fetch_export(studio, export.project, export.into, options)
