"""Doctor's checks of labeling, where a Label Studio is connected: does it let us in?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import replace
from http.client import HTTPConnection, HTTPException
from importlib import metadata
from itertools import chain
from pathlib import Path

from pipeline.catalog.catalog import assemble
from pipeline.catalog.engine import Transactions, make_engine
from pipeline.catalog.integrity import is_there
from pipeline.catalog.tables import LabelingProjectRow
from pipeline.errors import PipelineError
from services.labeling.studio.access import check_access, read_token
from services.labeling.tasks import INSTALL_SDK
from traboule.advice import fit
from traboule.check import Check, Patient
from traboule.labels.connection import LOOPBACK, KnownStudio, find_known, place_of
from traboule.labels.erased import WHAT_TO_DO, find_left
from traboule.labels.image_service import LOCK, is_held
from traboule.labels.projects import find_row

NAME = "Label Studio"
LOGS = "docker compose logs labeling"
ASKED_WITHIN_S = 2.0
MAX_BYTES = 10_000


def check_labeling(patient: Patient) -> Sequence[Check]:
    """Nothing to say where none is connected, and none was."""
    known = [] if patient.folder is None else _check_known(patient.folder)
    return [
        replace(check, what=fit(check.what), what_to_do=fit(check.what_to_do))
        for check in (*known, *_check_catalog(patient))
    ]


def _check_catalog(patient: Patient) -> Sequence[Check]:
    """Its schema is not brought up to date: a catalog of before labeling has nothing to say."""
    url, folder = patient.settings.catalog_url, patient.folder
    if not is_there(url):
        return []
    try:
        with closing(assemble(Transactions(make_engine(url)))) as catalog:
            project = [] if folder is not None else _check_row(find_row(catalog, None))
            left = find_left(catalog, folder)
    except PipelineError:
        return []  # the catalog's own check says so
    return [*project, *(Check("erased images", "warn", one.tell(), WHAT_TO_DO) for one in left)]


def _check_known(folder: Path) -> Sequence[Check]:
    try:
        known = find_known(folder)
        if known is None:
            return []
        parts = _check_images(folder, known), _check_predictions(known)
        return [_check_sdk(), _check_access(known), *chain(*parts)]
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


def _check_predictions(known: KnownStudio) -> Sequence[Check]:
    """Where they are given now: else its Label Studio is not at work either."""
    if known.backend_port is None:
        return []
    connection = HTTPConnection(LOOPBACK, known.backend_port, timeout=ASKED_WITHIN_S)
    with closing(connection), suppress(OSError, HTTPException, ValueError, AttributeError):
        connection.request("GET", "/health")
        problem = json.loads(connection.getresponse().read(MAX_BYTES)).get("problem")
        if problem:
            return [Check("predictions", "warn", str(problem), "traboule models pull")]
    return []


def _check_row(row: LabelingProjectRow | None) -> Sequence[Check]:
    if row is None:
        return []
    if row.reason:
        return [Check(NAME, "warn", row.reason, LOGS)]
    notes = "; ".join(row.notes)
    return [Check(NAME, "warn" if notes else "ok", notes or row.project, LOGS if notes else "")]
