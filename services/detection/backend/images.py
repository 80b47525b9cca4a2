"""A task's image, from where it is: our store, the Label Studio that asks, or the public internet.

Fetched ones are bounded, looked at, and kept nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard
from urllib.parse import unquote, urlsplit

from pipeline import keys
from pipeline.connections import is_local
from pipeline.decoding import DecodeLimits, read_header
from pipeline.errors import FetchError, ObjectMissing, PermanentError
from pipeline.fetch import Fetcher
from pipeline.labels.addresses import is_on, locate
from pipeline.labels.interface import IMAGE_ID
from pipeline.records import Outcome
from pipeline.storage import ObjectStore
from services.detection.backend.setups import Setup
from services.detection.pixels import Pixels, decode_pixels

LIMITS = DecodeLimits(min_side=1)
# Where a Label Studio has images: its owner's token opens nothing else by a task's address.
STUDIO_PATHS = ("/data/", "/storage-data/", "/tasks/")


class NoImage(PermanentError):
    """The task shows no image that may be looked at; the message says why."""


@dataclass(frozen=True)
class TaskImages:
    """`studio_url`: how we reach Label Studio, where that is not as it says itself."""

    store: ObjectStore
    fetcher: Fetcher
    studio_url: str | None = None

    def read(self, task: Mapping[str, Any], field: str, setup: Setup | None) -> Pixels:
        """Raises NoImage, UnreadableImage, FetchError, StorageError."""
        data = task.get("data")
        if not isinstance(data, Mapping):
            raise NoImage("it has no data")
        body = self._read_ours(data.get(IMAGE_ID))
        if body is None:
            body = self._fetch(task.get("id"), data.get(field), setup)
        read_header(body, LIMITS)
        return decode_pixels(body)

    def _read_ours(self, image: Any) -> bytes | None:
        """Anonymised, as it is stored; None for what is not in the store."""
        if not isinstance(image, str) or not keys.is_image_id(image):
            return None
        try:
            return self.store.get(keys.stored_image(image)).data
        except ObjectMissing:
            return None

    def _fetch(self, task: Any, address: Any, setup: Setup | None) -> bytes:
        if not isinstance(task, int) or not _is_address(address):
            raise NoImage("its data holds no address of an image")
        homes = [url for url in (self.studio_url, setup and setup.url) if url]
        if any(is_on(address, home) for home in homes):
            address = urlsplit(address)._replace(scheme="", netloc="").geturl()
        if address.partition(":")[0].lower() in ("http", "https"):
            return self._fetch_public(address)
        if setup is None or not homes:
            raise NoImage("its Label Studio has not said yet where it is")
        return self._fetch_from_studio(locate(address, task, homes[0]), homes[0], setup)

    def _fetch_public(self, address: str) -> bytes:
        host = urlsplit(address).hostname or ""
        if is_local(host):
            raise FetchError(Outcome.FORBIDDEN_ADDRESS, f"{host}: not on the public internet")
        return self.fetcher.fetch(address).body

    def _fetch_from_studio(self, address: str, url: str, setup: Setup) -> bytes:
        path = unquote(urlsplit(address).path.removeprefix(urlsplit(url).path))
        if not path.startswith(STUDIO_PATHS) or ".." in path.split("/"):
            raise NoImage("its address is none of Label Studio's images")
        authorization = f"Token {setup.token}" if setup.token else None
        return self.fetcher.fetch(address, authorization=authorization).body


def _is_address(address: Any) -> TypeGuard[str]:
    """JSON can hold halves of characters, which nothing can write, and what no URL parser takes."""
    try:
        return isinstance(address, str) and bool(address.encode()) and bool(urlsplit(address))
    except ValueError:
        return False
