"""Connecting a data folder to a Label Studio: it lets us in, has our project, and is remembered."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pipeline.annotations import CLASSES
from pipeline.cadence import utc_now
from pipeline.errors import UserError
from pipeline.labels.interface import compare_interface
from services.labeling.settings import ImageAccess, LabelingSettings, SendPolicy
from services.labeling.signed_images import LOOPBACK_HOSTS, make_secret
from services.labeling.studio.access import Access, check_access, read_token, read_url
from services.labeling.studio.failures import ProjectMissing
from services.labeling.studio.project import find_project
from services.labeling.studio.protocol import Studio, StudioProject
from services.labeling.tasks import INSTALL_SDK
from traboule.labels.connection import (
    SECRETS,
    KnownStudio,
    find_known,
    find_labeling,
    place_of,
    remember,
    settings_of,
)
from traboule.labels.installation import find_port
from traboule.labels.projects import list_known
from traboule.labels.reaching import opened
from traboule.workspace import Workspace

FIRST_IMAGES_PORT = 8300
SHORTEST_TITLE = 3  # Label Studio takes none below


@dataclass(frozen=True)
class Asked:
    """What the person wants of a connection; None: as it was, or the default. `project`: the title
    of the one to take, though ours was only renamed."""

    url: str | None
    token_file: Path | None
    project: str | None = None
    images: ImageAccess | None = None
    policy: SendPolicy | None = None
    every_nth: int | None = None
    fraction: float | None = None
    per_camera_and_day: int | None = None


@dataclass(frozen=True)
class Made:
    """`remarks` are for the person: none of them hinders."""

    known: KnownStudio
    user: str | None
    version: str | None
    project: StudioProject
    remarks: tuple[str, ...]
    what_next: str = "traboule labels push, or traboule run, which sends images by itself"


def connect(workspace: Workspace, asked: Asked) -> Made:
    """UserError, in one sentence, where the Label Studio does not let us in."""
    data = workspace.data
    if data is None:
        return _connect_service(workspace, asked)
    if asked.images is ImageAccess.S3:
        raise UserError(
            "the images lie in a folder here, from which no S3 server shows them: "
            "--images signed, or --images upload"
        )
    known = _choose(asked, find_known(data))
    held = read_token(known.token_file)
    access = _let_in(known.url, held.token)
    make_secrets(data)
    project = _take_up_project(workspace, settings_of(data, known), held.token, asked.project)
    remember(data, known)
    warned = [held.warning] if held.warning else []
    remarks = *warned, *compare_interface(project.interface, CLASSES), *_remark(known)
    return Made(known, access.user, access.version, project, remarks)


def make_secrets(data: Path) -> None:
    for name in SECRETS:
        make_secret(place_of(data) / name)


def _connect_service(workspace: Workspace, asked: Asked) -> Made:
    """Its settings have all of it: what a person can ask is that a deleted project is made anew,
    or that one of the settings' title takes the place of one that was renamed."""
    settings = find_labeling(None)
    if settings is None or settings.url is None or settings.token_file is None:
        raise UserError(
            "labeling has a connection of its own here, by LABELING_URL and LABELING_TOKEN_FILE; "
            "to have a project made anew that was deleted: traboule labels connect"
        )
    if asked not in (Asked(None, None), Asked(None, None, project=settings.project)):
        raise UserError(
            "labeling's settings say it all here (LABELING_URL, LABELING_POLICY, …), and this "
            "takes nothing more: traboule labels connect"
        )
    token = read_token(settings.token_file).token
    access = _let_in(settings.url, token)
    project = _take_up_project(workspace, settings, token, asked.project)
    known = KnownStudio(
        url=settings.url,
        token_file=settings.token_file,
        project=settings.project,
        images=settings.images,
        images_port=settings.api_port,
    )
    goes_on = "labeling goes on with it within a minute: docker compose logs labeling"
    remarks = tuple(compare_interface(project.interface, CLASSES))
    return Made(known, access.user, access.version, project, remarks, goes_on)


def _let_in(url: str, token: str) -> Access:
    """UserError where it does not."""
    try:
        access = check_access(url, token)
    except ImportError as error:
        raise UserError(f"{error}; {INSTALL_SDK}") from None
    if access.problem is not None:
        raise UserError(access.problem)
    return access


def _choose(asked: Asked, before: KnownStudio | None) -> KnownStudio:
    """What is asked for, beside what was before."""
    url = read_url(asked.url) if asked.url is not None else (before.url if before else None)
    if url is None:
        raise UserError("which Label Studio? traboule labels connect URL --token-file FILE")
    if before is not None and before.url != url:
        raise UserError(
            f"connected to {before.url} so far; first: traboule labels disconnect"
            " (what was labelled stays)"
        )
    if before is None and asked.token_file is None:
        raise UserError("name the file that holds its token: --token-file FILE")
    if asked.project is not None and len(asked.project) < SHORTEST_TITLE:
        raise UserError(f"a project's title has {SHORTEST_TITLE} characters at least")
    wanted = {name: value for name, value in vars(asked).items() if value is not None}
    if "token_file" in wanted:
        wanted["token_file"] = wanted["token_file"].expanduser().absolute()
    known: dict[str, Any] = before.model_dump() if before else {}
    known = known | wanted | {"url": url}
    if before is None:
        known["images_port"] = find_port(FIRST_IMAGES_PORT)
        known["images"] = asked.images or _choose_images(url)
    return KnownStudio.model_validate(known)


def _choose_images(url: str) -> ImageAccess:
    """UserError where there is no way that serves everybody."""
    host = urlsplit(url).hostname or ""
    if host in LOOPBACK_HOSTS:
        return ImageAccess.SIGNED
    raise UserError(
        f"{host} is another machine, so say how it comes by the images: --images upload gives it "
        "a copy of each that is sent; --images signed shows them to browsers on this machine alone"
    )


def _take_up_project(
    workspace: Workspace, settings: LabelingSettings, token: str, title: str | None
) -> StudioProject:
    assert settings.url is not None
    known = list_known(workspace.catalog, settings.url)
    with opened(settings.url, token) as studio:
        project = _find_project(studio, settings, known, title)
    workspace.catalog.labeling_projects.contacted(project.key, utc_now())
    return project


def _find_project(
    studio: Studio, settings: LabelingSettings, known: Sequence[str], title: str | None
) -> StudioProject:
    """Ours, though it was renamed, unless a person asks for a title. Made anew where it was
    deleted, since a person asks for it."""
    if known:
        with suppress(ProjectMissing):
            ours = find_project(studio, settings, known)
            if title in (None, ours.title):
                return ours
    return find_project(studio, settings)


def _remark(known: KnownStudio) -> list[str]:
    host = urlsplit(known.url).hostname or ""
    if known.images is ImageAccess.SIGNED and host not in LOOPBACK_HOSTS:
        return ["images are shown to browsers on this machine alone, while a run is at work"]
    if known.images is ImageAccess.UPLOAD:
        return [f"a copy of each image that is sent stays at {known.url}"]
    return []
