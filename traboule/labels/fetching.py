"""The images of labels that a person exported from Label Studio by hand."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import UserError
from pipeline.labels.addresses import is_on
from services.labeling.fetching.files import StudioFiles
from services.labeling.fetching.images import fetch_images
from services.labeling.fetching.report import FetchOptions, FetchReport
from services.labeling.studio.access import read_token, read_url
from traboule.bars import progress_bar
from traboule.labels.connection import find_labeling
from traboule.workspace import find_settings


@dataclass(frozen=True)
class Fetch:
    """`url` and `token_file` None: the connected Label Studio's."""

    labels: Path
    url: str | None
    token_file: Path | None
    out: Path | None
    images_per_s: float
    project: int | None
    trust_names: bool


def fetch(data: Path | None, wanted: Fetch) -> tuple[FetchReport, Path]:
    """The report, and the folder."""
    url, token_file = _find_studio(data, wanted)
    read_token(token_file)  # what is wrong with it is told before anything is read
    labels = wanted.labels.absolute()
    out = wanted.out or labels.with_name(f"{labels.stem}-with-images")
    studio = StudioFiles(url, lambda: read_token(token_file).token)
    with closing(studio), progress_bar("fetching", None) as advance:
        options = FetchOptions(
            project=wanted.project,
            images_per_s=wanted.images_per_s,
            trust_names=wanted.trust_names,
            progress=advance,
        )
        return fetch_images(labels, studio, out, options), out


def _find_studio(data: Path | None, wanted: Fetch) -> tuple[str, Path]:
    url = None if wanted.url is None else read_url(wanted.url)
    token_file = None if wanted.token_file is None else wanted.token_file.expanduser()
    if url is not None and token_file is not None:
        return url, token_file
    connected = find_labeling(find_settings(data)[0])
    if connected is None or connected.url is None or connected.token_file is None:
        raise UserError("which Label Studio? --url URL --token-file FILE")
    if url is not None and not is_on(url, connected.url):
        raise UserError("name the file that holds its token: --token-file FILE")
    return url or connected.url, token_file or connected.token_file
