"""Labeling's HTTP routes: the webhook, and where a browser fetches images by signed addresses.

GET  /health         200 {"status": "UP"}
POST /webhook        204, or 401 without the secret; its body is not looked at
GET  /images/…       where the settings have it: see signed_images
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from pipeline.errors import UserError
from pipeline.storage import ObjectStore
from services.labeling.settings import ImageAccess, LabelingSettings, read_secret
from services.labeling.signed_images import LOOPBACK_HOSTS, ImageServer, origin_of
from services.labeling.studio.project import SECRET_HEADER
from services.labeling.webhook import Doorbell, is_known

MAX_BODY_BYTES = 1_000_000  # of a webhook; what is longer is not read to its end
BODY_WITHIN_S = 2.0
STOP_WITHIN_S = 5.0


@dataclass(frozen=True)
class Webhook:
    settings: LabelingSettings
    doorbell: Doorbell

    async def take(self, request: Request) -> Response:
        given = request.headers.get(SECRET_HEADER, "")
        if not is_known(given, self.settings.webhook_secret_file):
            return PlainTextResponse("not known here\n", 401)
        self.doorbell.ring()
        with suppress(TimeoutError, ClientDisconnect):
            async with asyncio.timeout(BODY_WITHIN_S):
                await _skip_body(request)
        return Response(status_code=204)


def make_api(settings: LabelingSettings, store: ObjectStore, doorbell: Doorbell) -> Starlette:
    webhook = Webhook(settings, doorbell)
    routes = [
        Route("/health", _tell_health),
        Route("/webhook", webhook.take, methods=["POST"]),
    ]
    if settings.images is ImageAccess.SIGNED:
        routes += _image_server(settings, store).routes()
    app = Starlette(routes=routes)
    app.router.redirect_slashes = False  # its redirect would name the host that the request names
    return app


async def _tell_health(request: Request) -> Response:
    return JSONResponse({"status": "UP"})


def _image_server(settings: LabelingSettings, store: ObjectStore) -> ImageServer:
    return ImageServer(
        store,
        read_secret=lambda: read_secret(settings.images_secret_file, "the secret of addresses"),
        origin=origin_of(settings.url) if settings.url else None,
        hosts=LOOPBACK_HOSTS | {urlsplit(settings.images_url).hostname or ""},
    )


@contextmanager
def serving(app: Starlette, host: str, port: int) -> Iterator[int]:
    """Serves in a thread meanwhile; gives the port. UserError where it cannot be had."""
    try:
        listening = socket.create_server((host, port))
    except OSError as error:
        raise UserError(f"cannot listen on {host}:{port}: {error.strerror}") from error
    # asyncio sets it for sockets of its own making alone: without it an image on a connection that
    # was used before is 40 ms late, since its header and its body wait for one another.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # No access log: an image's address opens it to whoever reads the line.
    config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off")
    server = uvicorn.Server(config)
    options = {"sockets": [listening]}
    thread = threading.Thread(target=server.run, kwargs=options, name="api", daemon=True)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(STOP_WITHIN_S)
        listening.close()


async def _skip_body(request: Request) -> None:
    """So that the connection can be used again."""
    received = 0
    async for chunk in request.stream():
        received += len(chunk)
        if received > MAX_BODY_BYTES:
            return
