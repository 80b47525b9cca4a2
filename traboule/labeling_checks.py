"""Doctor's checks of labeling, where a Label Studio is connected: does it let us in?"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from importlib import metadata
from pathlib import Path

from pipeline.catalog import open_catalog
from pipeline.errors import PipelineError
from services.labeling.studio.access import check_access, read_token
from services.labeling.tasks import INSTALL_SDK
from traboule.advice import fit
from traboule.check import Check, Patient
from traboule.labels.connection import KnownStudio, find_known, place_of
from traboule.labels.image_service import LOCK, is_held
from traboule.labels.projects import find_row

NAME = "Label Studio"
LOGS = "docker compose logs labeling"


def check_labeling(patient: Patient) -> Sequence[Check]:
    """Nothing to say where none is connected."""
    if patient.folder is None:
        return _check_catalog(patient)
    try:
        known = find_known(patient.folder)
        if known is None:
            return []
        return [_check_sdk(), _check_access(known), *_check_images(patient.folder, known)]
    except PipelineError as error:
        return [Check(NAME, "warn", str(error), "traboule labels connect URL --token-file FILE")]


def _check_sdk() -> Check:
    name = "label-studio-sdk"
    try:
        return Check(name, "ok", metadata.version(name))
    except metadata.PackageNotFoundError:
        return Check(name, "fail", "not installed", INSTALL_SDK)


def _check_access(known: KnownStudio) -> Check:
    held = read_token(known.token_file)
    try:
        access = check_access(known.url, held.token)
    except ImportError as error:
        return Check(NAME, "fail", str(error), INSTALL_SDK)
    if access.problem is not None:
        advice = "traboule labels serve" if known.is_ours else "it is asked again by itself"
        return Check(NAME, "warn", access.problem, advice)
    told = f"{access.version or 'a version it does not say'} at {known.url}, as {access.user}"
    if held.warning is not None:
        return Check(NAME, "warn", told, held.warning)
    return Check(NAME, "ok", told)


def _check_images(folder: Path, known: KnownStudio) -> Sequence[Check]:
    if known.images != "signed" or is_held(place_of(folder) / LOCK):
        return []
    what = "nobody shows images to Label Studio's pages now"
    return [Check("images", "warn", what, "traboule labels serve, or traboule run")]


def _check_catalog(patient: Patient) -> Sequence[Check]:
    try:
        with closing(open_catalog(patient.settings.catalog_url)) as catalog:
            row = find_row(catalog, None)
    except PipelineError:
        return []  # the catalog's own check says so
    if row is None:
        return []
    if row.reason:
        return [Check(NAME, "warn", fit(row.reason), LOGS)]
    notes = "; ".join(row.notes)
    return [Check(NAME, "warn" if notes else "ok", notes or row.project, LOGS if notes else "")]
