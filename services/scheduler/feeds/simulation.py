"""The simulated city's cameras, where it runs beside the pipeline (see services/simulation)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from pipeline.errors import TransientError
from pipeline.fetch import Fetcher
from pipeline.records import Camera, Policy
from services.scheduler.feeds.listing import read_cameras, read_document
from services.scheduler.settings import NEED_NO_FILE, SIMULATION_URL

MIN_EVERY_S, MAX_EVERY_S = 1.0, 3600.0


def discover(
    fetcher: Fetcher, url: str = SIMULATION_URL, detectors: Sequence[str] = NEED_NO_FILE
) -> list[Camera]:
    """The city's cameras; `detectors` are for what it draws.

    FetchError when it does not answer well, TransientError when with something else.
    """
    place = f"{url.rstrip('/')}/cameras.json"
    try:
        return parse(fetcher.fetch(place).body, urlsplit(place).netloc, detectors)
    except ValueError as error:
        raise TransientError(f"the simulated city's list of cameras: {error}") from error


def parse(body: bytes, host: str, detectors: Sequence[str] = NEED_NO_FILE) -> list[Camera]:
    """Cameras from the list's JSON, without those whose pictures are not on `host` (with port).

    ValueError when it is not such a list.
    """
    rows = read_document(body)
    if not isinstance(rows, list):
        raise ValueError("not a list")
    return read_cameras("simulation", rows, lambda row: _camera(row, host, detectors))


def _camera(row: Any, host: str, detectors: Sequence[str]) -> Camera | None:
    """Whoever is in a picture that was not drawn may be a real person: policy and detectors of
    such a camera are those of any other."""
    try:
        parts = urlsplit(row["url"])
        if (parts.scheme, parts.netloc) != ("http", host):
            return None
        camera = Camera(
            id=row["id"],
            url=row["url"],
            name=row["name"],
            feed="simulation",
            every_s=min(max(float(row["refresh_s"]), MIN_EVERY_S), MAX_EVERY_S),
            attribution="Traboule's simulated city",
            latitude=row["latitude"],
            longitude=row["longitude"],
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return None
    if row.get("drawn") is not True:
        return camera
    drawn = {"policy": Policy.KEEP, "licence": "CC0", "detectors": tuple(detectors)}
    return camera.model_copy(update=drawn)
