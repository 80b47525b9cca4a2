"""The project in Label Studio: found or made, and given what it needs. It all may be repeated."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pipeline.annotations import CLASSES
from pipeline.errors import UserError
from pipeline.labels.interface import write_interface
from pipeline.logs import get_logger
from services.labeling.settings import ImageAccess, LabelingSettings, read_secret
from services.labeling.studio.failures import ProjectMissing, StudioRefused
from services.labeling.studio.protocol import SourceStorage, Studio, StudioProject

SECRET_HEADER = "X-Traboule-Secret"
BACKEND_TITLE = "Traboule"

log = get_logger(__name__)


def find_project(
    studio: Studio, settings: LabelingSettings, remembered: int | None
) -> StudioProject:
    """The project of the settings' title, the one we know or else the oldest; failing that, the one
    we know by its number, since it may have been renamed; else a new one.

    ProjectMissing where the one we know was deleted: a person did that, and a person undoes it.
    """
    found = sorted(studio.find_projects(settings.project), key=lambda one: one.id)
    if found:
        return next((one for one in found if one.id == remembered), found[0])
    if remembered is not None:
        try:
            return studio.get_project(remembered)
        except ProjectMissing:
            raise ProjectMissing(
                f"project {remembered} was deleted there; a new one is made by: "
                "traboule labels connect"
            ) from None
    if not settings.create_project:
        raise StudioRefused(f"there is no project {settings.project!r}")
    return make_project(studio, settings)


def make_project(studio: Studio, settings: LabelingSettings) -> StudioProject:
    """A new project with the pinned classes, whatever others there are."""
    made = studio.create_project(settings.project, write_interface(CLASSES))
    log.info("made a project in Label Studio", project=made.key, title=made.title)
    return made


def equip(studio: Studio, settings: LabelingSettings, project: StudioProject) -> Sequence[str]:
    """Storage, webhook and ML backend, as the settings have them; what of it could not be given,
    in words: the rest of the round trip works without."""
    problems = []
    for what, step in _STEPS:
        try:
            step(studio, settings, project.id)
        except ProjectMissing:
            raise
        except (StudioRefused, UserError) as error:
            log.warning("not set up in Label Studio", what=what, reason=str(error))
            problems.append(f"its {what} could not be set up: {error}")
    return problems


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
