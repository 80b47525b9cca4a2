"""Grand Lyon's traffic cameras ("Caméras Web Criter"): about 15 stills, each renewed every 62 s."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from pipeline.errors import FetchError, TransientError
from pipeline.fetch import Fetcher
from pipeline.logs import get_logger
from pipeline.records import Camera

_TABLE = "pvo_patrimoine_voirie.pvocameracriter"
LISTS = (
    f"https://download.data.grandlyon.com/ws/rdata/{_TABLE}/all.json?maxfeatures=-1",
    f"https://data.grandlyon.com/fr/datapusher/ws/rdata/{_TABLE}/all.json?maxfeatures=-1&start=1",
)
# The list is untrusted input: an image is fetched from the feed's own host alone.
IMAGE_HOST = "download.data.grandlyon.com"
# "Image indisponible", served with status 200 while a camera is down.
PLACEHOLDER_SHA256 = "8be14bdafb0b8b688651206d02fad0656c0be2095c0e18c36945f74a8f598bdd"
REFRESH_S = 62.0
TRUNCATED_ALWAYS = frozenset({"cwl5801"})
MAX_CAMERAS = 500

log = get_logger(__name__)


def discover(fetcher: Fetcher) -> list[Camera]:
    """The feed's cameras. TransientError when neither of its two lists can be had."""
    reasons = []
    for url in LISTS:
        try:
            return parse(fetcher.fetch(url).body)
        except (FetchError, ValueError) as error:
            reasons.append(str(error))
    raise TransientError(f"Grand Lyon's list of cameras cannot be had: {'; '.join(reasons)}")


def parse(body: bytes) -> list[Camera]:
    """Cameras from the list's JSON, without the rows that are no camera of this feed.

    ValueError when it is not such a list.
    """
    document = json.loads(body)
    rows = document.get("values") if isinstance(document, dict) else None
    if not isinstance(rows, list):
        raise ValueError("the list of cameras has no `values`")
    cameras = {}
    for row in rows[:MAX_CAMERAS]:
        camera = _camera(row)
        if camera is None:
            log.warning("feed row ignored", feed="grandlyon", row=str(row)[:200])
        else:
            cameras[camera.id] = camera
    return list(cameras.values())


def _camera(row: Any) -> Camera | None:
    if not isinstance(row, dict):
        return None
    url = str(row.get("url", ""))
    parts = urlsplit(url)
    if parts.scheme != "https" or parts.hostname != IMAGE_HOST:
        return None
    camera_id = str(row.get("numeromaintenance", "")).lower()
    names = (row.get("libellelong") or row.get("nom"), row.get("observation"))
    try:
        return Camera(
            id=camera_id,
            url=url,
            name=" · ".join(str(name) for name in names if name),
            feed="grandlyon",
            every_s=REFRESH_S,
            licence="Licence Ouverte 2.0",
            attribution="Métropole de Lyon, data.grandlyon.com",
            latitude=row.get("lat"),
            longitude=row.get("lon"),
            keep_truncated=camera_id in TRUNCATED_ALWAYS,
            placeholder_sha256=(PLACEHOLDER_SHA256,),
        )
    except ValidationError:
        return None
