"""Images shown to a browser that has a labeling task open: read-only, by signed addresses alone.

An address without a good signature is not told from one of an image that is not there.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from pipeline import keys
from pipeline.errors import ObjectMissing, StorageError, UserError
from pipeline.storage import ObjectStore
from services.labeling.signing import is_signed

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
MAX_QUERY_BYTES = 200
MAX_PATH_BYTES = 200
SUFFIX = ".jpg"
NOT_MODIFIED, NOT_FOUND, MISDIRECTED, BUSY = 304, 404, 421, 503


@dataclass(frozen=True)
class ImageServer:
    """`read_secret` is asked for each image, so that all addresses end with the secret's file.
    `origin` is the Label Studio whose pages may read the pixels. `hosts` are the names we go by:
    another name that leads to us belongs to a page that means to read them."""

    store: ObjectStore
    read_secret: Callable[[], str]
    origin: str | None = None
    hosts: Collection[str] = LOOPBACK_HOSTS

    def routes(self) -> list[Route]:
        return [Route("/images/{name:path}", self.show, methods=["GET"])]

    async def show(self, request: Request) -> Response:
        host = _host_of(request)
        if not host or host not in self.hosts:
            return PlainTextResponse("not our name", MISDIRECTED)
        image = self._find_signed(request)
        if image is None:
            return _say("no such image", NOT_FOUND)
        try:
            data = await run_in_threadpool(self._read, image)
        except StorageError:
            return _say("the object store does not answer", BUSY)
        return _say("no such image", NOT_FOUND) if data is None else self._answer(request, data)

    def _find_signed(self, request: Request) -> str | None:
        query = request.scope["query_string"]
        if len(query) > MAX_QUERY_BYTES or len(request.scope["path"]) > MAX_PATH_BYTES:
            return None
        name, given = request.path_params["name"], request.query_params.getlist("signature")
        if not name.endswith(SUFFIX) or len(given) != 1:
            return None
        try:
            secret = self.read_secret()
        except UserError:
            return None  # it was deleted, to end all addresses
        image = name.removesuffix(SUFFIX)
        return image if is_signed(secret, image, given[0]) else None

    def _read(self, image: str) -> bytes | None:
        """None where it is gone, or was erased a moment ago."""
        if self.store.exists(keys.tombstone(image)):
            return None
        try:
            return self.store.get(keys.stored_image(image)).data
        except ObjectMissing:
            return None

    def _answer(self, request: Request, data: bytes) -> Response:
        etag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
        headers = {
            "ETag": etag,
            "Cache-Control": "private, no-cache",  # asked again each time: it may be erased
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": "default-src 'none'; sandbox",
            "Referrer-Policy": "no-referrer",
            "Vary": "Origin",
        }
        if self.origin is not None and request.headers.get("origin") == self.origin:
            headers["Access-Control-Allow-Origin"] = self.origin
        held = request.headers.get("if-none-match", "")
        if etag in [tag.strip().removeprefix("W/") for tag in held.split(",")]:
            return Response(status_code=NOT_MODIFIED, headers=headers)
        return Response(data, media_type="image/jpeg", headers=headers)


def make_secret(path: Path) -> None:
    """A new secret in a file that nobody else may read, unless there is one."""
    if path.is_file():
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from error
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_hex(32))


def origin_of(url: str) -> str:
    """The origin that a browser tells of a page at `url`."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()


def _host_of(request: Request) -> str:
    """The name in the Host header, without its port and brackets; empty where it is none."""
    host = request.headers.get("host", "")
    try:
        return "" if "@" in host else (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def _say(text: str, status: int) -> Response:
    return PlainTextResponse(text, status, headers={"Cache-Control": "no-store"})
