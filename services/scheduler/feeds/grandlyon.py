"""Grand Lyon's traffic cameras ("Caméras Web Criter"): about 15 stills, each renewed every 62 s."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from pipeline.errors import FetchError, TransientError
from pipeline.fetch import Fetcher
from pipeline.records import Camera
from services.scheduler.feeds.listing import read_cameras, read_document

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
    document = read_document(body)
    rows = document.get("values") if isinstance(document, dict) else None
    if not isinstance(rows, list):
        raise ValueError("the list of cameras has no `values`")
    return read_cameras("grandlyon", rows, _camera)


def _camera(row: Any) -> Camera | None:
    if not isinstance(row, dict):
        return None
    url = str(row.get("url", ""))
    camera_id = str(row.get("numeromaintenance", "")).lower()
    names = (row.get("libellelong") or row.get("nom"), row.get("observation"))
    try:
        parts = urlsplit(url)
        if parts.scheme != "https" or parts.hostname != IMAGE_HOST:
            return None
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
    except ValueError:  # pydantic's are such, too
        return None
