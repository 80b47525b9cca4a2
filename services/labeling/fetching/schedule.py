"""A folder kept as a project's own YOLO export has it now, each label with its image.

For a Label Studio that others look after: what it is asked for is what a person exports by hand.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import PipelineError, UserError
from pipeline.labels.addresses import server_of
from pipeline.logs import get_logger
from services.labeling.fetching.files import StudioFiles
from services.labeling.fetching.folder import FetchRefused
from services.labeling.fetching.images import fetch_export
from services.labeling.fetching.report import FetchOptions, FetchReport
from services.labeling.fetching.session import Patience, PatientSession
from services.labeling.fetching.settings import FetchSettings
from services.labeling.studio.access import read_token, read_url

AFTER_A_FAILURE_S = 300.0
STEP_S = 5.0  # between two signs of life

log = get_logger(__name__)


@dataclass(frozen=True)
class Export:
    """What is fetched, and from where. `image_servers`: as in the settings."""

    url: str
    project: int
    token_file: Path
    into: Path
    images_per_s: float
    image_servers: tuple[str, ...] = ()

    @classmethod
    def wanted_by(cls, settings: FetchSettings) -> Export:
        """UserError where the settings do not say what is wanted."""
        url, project, token_file = settings.url, settings.project, settings.token_file
        if url is None or project is None or token_file is None:
            named = {"URL": url, "PROJECT": project, "TOKEN_FILE": token_file}
            missing = [f"FETCH_{name}" for name, value in named.items() if value is None]
            raise UserError(f"what is to be fetched? Set {', '.join(missing)}")
        return cls(
            url=read_url(url),
            project=project,
            token_file=token_file,
            into=settings.into,
            images_per_s=settings.images_per_s,
            image_servers=read_servers(settings.image_servers),
        )


def read_servers(addresses: Sequence[str]) -> tuple[str, ...]:
    """UserError for what is no address of a server, by its place: it may hold a password."""
    servers = []
    for place, address in enumerate(addresses, 1):
        try:
            servers.append(read_url(address))
        except UserError as error:
            told = f"FETCH_IMAGE_SERVERS: number {place} is no http://HOST:PORT"
            raise UserError(told) from error
    return tuple(servers)


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


def fetch_for_ever(export: Export, every_s: float, rest: Rest) -> None:
    while True:
        is_regular = try_to_fetch(export, rest)
        rest(every_s if is_regular else min(every_s, AFTER_A_FAILURE_S))


def try_to_fetch(export: Export, rest: Rest) -> bool:
    """Whether the next is at its usual time, not sooner: this one came to its end, or a person must
    look. What was fetched of one that did not stays for the next."""
    try:
        report = _fetch(export, rest)
    except PipelineError as error:
        log.warning("not fetched", url=export.url, project=export.project, reason=str(error))
        return isinstance(error, FetchRefused)  # each try is one more export that is kept there
    except Exception:  # the loop goes on, whatever it was
        log.exception("not fetched", url=export.url, project=export.project)
        return False
    log.info(
        "fetched",
        url=export.url,
        project=export.project,
        new=len(report.fetched),
        there=len(report.already_there),
        withdrawn=len(report.withdrawn),
        missing=len(report.missing) + len(report.ambiguous) + len(report.not_images),
    )
    return True


def _fetch(export: Export, rest: Rest) -> FetchReport:
    neighbours = frozenset(server_of(address) for address in export.image_servers)
    trusted = neighbours | {server_of(export.url)}
    session = PatientSession(patience=Patience(sleep=rest), trusted=trusted, alive=rest.alive)
    files = StudioFiles(
        export.url, lambda: read_token(export.token_file).token, session, neighbours
    )
    with closing(files) as studio:
        options = FetchOptions(
            images_per_s=export.images_per_s,
            progress=lambda done, total: rest.alive(),
            sleep=rest,
        )
        return fetch_export(studio, export.project, export.into, options)
