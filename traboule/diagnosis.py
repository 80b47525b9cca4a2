"""Everything that doctor looks at, in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit

from pipeline.cadence import utc_now
from pipeline.errors import FetchError
from services.capture.fetching import make_fetcher
from services.capture.settings import CaptureSettings
from services.scheduler.feeds.grandlyon import LISTS
from traboule.check import Check, Contact, Examination, Patient
from traboule.data_checks import (
    check_catalog,
    check_folder,
    check_lifetimes,
    check_store,
)
from traboule.labeling_checks import check_labeling
from traboule.machine_checks import (
    check_camera_host,
    check_clock,
    check_models,
    check_packages,
    check_python,
)
from traboule.server_checks import check_broker, check_object_store
from traboule.work_checks import check_work
from traboule.workspace import find_settings

ASK_FOR_S = 5.0
# Of `docker compose`'s servers and services, and of one folder: each finds its own matters.
EXAMINATIONS: tuple[Examination, ...] = (
    check_python,
    check_packages,
    check_models,
    check_clock,
    check_camera_host,
    check_folder,
    check_broker,
    check_object_store,
    check_catalog,
    check_work,
    check_store,
    check_lifetimes,
    check_labeling,
)


def examine_all(patient: Patient, examinations: Sequence[Examination]) -> Iterator[Check]:
    for examination in examinations:
        yield from examination(patient)


def make_patient(data: Path | None) -> Patient:
    folder, settings = find_settings(data)
    contact = ask_host(LISTS[0])
    return Patient(folder, settings, utc_now(), contact)


def ask_host(url: str) -> Contact:
    """Fetch `url` for its Date header."""
    host = urlsplit(url).hostname or url
    try:
        response = make_fetcher(CaptureSettings(), ASK_FOR_S).fetch(url)
    except FetchError as error:
        return Contact(host, problem=f"{host} cannot be reached: {error.reason}")
    return Contact(host, date=_parse_date(response.headers.get("date", "")))


def _parse_date(header: str) -> datetime | None:
    try:
        at = parsedate_to_datetime(header)
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
