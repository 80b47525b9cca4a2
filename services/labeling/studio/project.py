"""The project in Label Studio: found or made, and given what it needs. It all may be repeated."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pipeline.annotations import CLASSES
from pipeline.errors import UserError
from pipeline.labels.interface import write_interface
from pipeline.logs import get_logger
from services.labeling.settings import ImageAccess, LabelingSettings, read_secret
from services.labeling.studio.failures import (
    ProjectMissing,
    StudioError,
    StudioRefused,
    StudioUnavailable,
)
from services.labeling.studio.protocol import SourceStorage, Studio, StudioProject
from services.labeling.studio.wire import number_of

SECRET_HEADER = "X-Traboule-Secret"
BACKEND_TITLE = "Traboule"

log = get_logger(__name__)


def find_project(
    studio: Studio, settings: LabelingSettings, known: Sequence[str] = ()
) -> StudioProject:
    """The project of the settings' title that we know; failing that, the last one we know, since it
    may have been renamed; else the oldest of that title, or a new one.

    `known`: keys, the last that answered first. ProjectMissing where that one was deleted: a person
    did that, and a person undoes it.
    """
    found = sorted(studio.find_projects(settings.project), key=lambda one: one.id)
    ours = [one for key in known for one in found if one.key == key]
    renamed = None if ours or not known else _find_known(studio, known[0])
    if chosen := [*ours, *([renamed] if renamed else []), *found]:
        return chosen[0]
    if known:
        raise ProjectMissing(
            f"project {number_of(known[0])} was deleted there, or Label Studio has another "
            "database: put that back, or have a new project made by: traboule labels connect"
        )
    if not settings.create_project:
        raise StudioRefused(
            f"there is no project {settings.project!r}: make it there, "
            "or set LABELING_CREATE_PROJECT=true"
        )
    return make_project(studio, settings)


def _find_known(studio: Studio, key: str) -> StudioProject | None:
    """None also where another one has its number, as in a Label Studio that was set up anew."""
    try:
        project = studio.get_project(number_of(key))
    except ProjectMissing:
        return None
    return project if project.key == key else None


def make_project(studio: Studio, settings: LabelingSettings) -> StudioProject:
    """A new project with the pinned classes, whatever others there are."""
    made = studio.create_project(settings.project, write_interface(CLASSES))
    log.info("made a project in Label Studio", project=made.key, title=made.title)
    return made


def check_project(studio: Studio, project: StudioProject) -> StudioProject:
    """As it is now. ProjectMissing where it was deleted, or where another has its number, as in a
    Label Studio that was set up anew, or that was given another database."""
    now = studio.get_project(project.id)
    if now.key != project.key:
        raise ProjectMissing(f"project {project.id} is another one than before")
    return now


def equip(studio: Studio, settings: LabelingSettings, project: StudioProject) -> Sequence[str]:
    """Storage, webhook and ML backend, as the settings have them; what of it could not be given,
    in words: the rest of the round trip works without.

    Label Studio asks the storage and the ML backend meanwhile: where they fail, it may."""
    problems = []
    for what, step in _STEPS:
        try:
            step(studio, settings, project.id)
        except ProjectMissing:
            raise
        except (StudioError, UserError) as error:
            if isinstance(error, StudioUnavailable):
                check_project(studio, project)
            log.warning("not set up in Label Studio", what=what, reason=str(error))
            problems.append(_begin_problem(what) + f": {error}")
    return problems


def tells_problem(note: str) -> bool:
    """Whether it is one of equip()'s."""
    return any(note.startswith(_begin_problem(what)) for what, _ in _STEPS)


def _begin_problem(what: str) -> str:
    return f"its {what} could not be set up"


def _add_storage(studio: Studio, settings: LabelingSettings, project: int) -> None:
    if settings.images is not ImageAccess.S3 or settings.s3_endpoint is None:
        return
    storage = SourceStorage(
        bucket=settings.s3_bucket,
        endpoint=settings.s3_endpoint,
        access_key=settings.s3_access_key,
        secret_key=read_secret(settings.s3_secret_file, "the object store's password"),
        region=settings.s3_region,
    )
    studio.ensure_storage(project, storage)


def _add_webhook(studio: Studio, settings: LabelingSettings, project: int) -> None:
    if settings.webhook_url is not None:
        secret = read_secret(settings.webhook_secret_file, "the webhook's secret")
        studio.ensure_webhook(project, settings.webhook_url, {SECRET_HEADER: secret})


def _add_backend(studio: Studio, settings: LabelingSettings, project: int) -> None:
    if settings.backend_url is not None:
        password = read_secret(settings.backend_password_file, "the ML backend's password")
        login = (settings.backend_user, password)
        studio.ensure_backend(project, settings.backend_url, BACKEND_TITLE, login)


_STEPS: tuple[tuple[str, Callable[[Studio, LabelingSettings, int], None]], ...] = (
    ("storage", _add_storage),
    ("webhook", _add_webhook),
    ("ML backend", _add_backend),
)
