"""A Label Studio of this data folder's own: installed once, and at work while a person labels."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

import platformdirs

from pipeline.errors import UserError
from pipeline.stopping import stop_asked
from services.labeling.settings import ImageAccess
from traboule.labels.connecting import FIRST_IMAGES_PORT, make_secrets
from traboule.labels.connection import (
    LOOPBACK,
    KnownStudio,
    find_known,
    place_of,
    remember,
    settings_of,
)
from traboule.labels.image_service import ImageService, is_held
from traboule.labels.installation import find_port, install, running_studio
from traboule.labels.installation import find_program as find_installed
from traboule.labels.prediction_service import FIRST_BACKEND_PORT, predicting
from traboule.labels.reaching import make_context
from traboule.labels.rounds import Rounds
from traboule.workspace import Workspace

FIRST_PORT = 8080
FOLDER = "label-studio"
TERMINATED = 143

Tell = Callable[[str], None]


def serve(workspace: Workspace, port: int | None, tell: Tell, tell_often: Tell) -> None:
    """Until Ctrl-C. `tell_often` hears of every step of an installation."""
    data = workspace.data
    if data is None:
        raise UserError("Label Studio is a service here: docker compose up")
    known = _choose(data, port)
    make_secrets(data)  # the folder as well, for its owner alone
    program = find_program(tell, tell_often)
    with _ended_by_sigterm(), running_studio(program, _folder(data), _port(known), tell) as studio:
        if studio.url != known.url:
            raise UserError(f"{known.url} was taken by another program meanwhile; try again")
        tell(f"Sign in at {studio.url} as {studio.username}; password: {studio.password_file}")
        _work(workspace, data, known, tell)
    tell("Label Studio has ended; go on with: traboule labels serve")


def find_program(tell: Tell, tell_often: Tell) -> Path:
    cache = Path(platformdirs.user_cache_dir("traboule", appauthor=False))
    found = find_installed(cache)
    if found is not None:
        return found
    tell("Label Studio is installed first, in a virtual environment of its own: about 1 GB")
    return install(cache, tell_often)


def _choose(data: Path, port: int | None) -> KnownStudio:
    known = find_known(data)
    if known is None:
        chosen = find_port(FIRST_PORT if port is None else port)
        if port is not None and chosen != port:
            raise UserError(f"port {port} is taken; choose another with --port")
        return KnownStudio(
            url=f"http://{LOOPBACK}:{chosen}",
            token_file=_folder(data) / "token",
            images=ImageAccess.SIGNED,
            images_port=find_port(FIRST_IMAGES_PORT, besides=chosen),
            is_ours=True,
        )
    if not known.is_ours:
        raise UserError(
            f"connected to {known.url}; to have a Label Studio of its own: "
            "traboule labels disconnect"
        )
    if port is not None and port != _port(known):
        raise UserError(f"its labeling tasks are known by {known.url}: its port stays as it is")
    if not is_held(_folder(data) / "lock") and find_port(_port(known)) != _port(known):
        raise UserError(
            f"port {_port(known)} is taken by another program, and labeling tasks are known by it: "
            "end that program first"
        )
    return known


def _folder(data: Path) -> Path:
    return place_of(data) / FOLDER


def _port(known: KnownStudio) -> int:
    return int(known.url.rpartition(":")[2])


def _work(workspace: Workspace, data: Path, known: KnownStudio, tell: Tell) -> None:
    # Images may be shown at a later port than the usual.
    wished = known.backend_port or max(FIRST_BACKEND_PORT, known.images_port + 1)
    settings = settings_of(data, known.model_copy(update={"backend_port": wished}))
    news = threading.Event()
    with (
        stop_asked() as stop,
        predicting(settings, workspace.store, tell) as settings,
        ImageService(data, settings, workspace.store, lambda hint: news.set()) as images,
    ):
        backend_port = urlsplit(settings.backend_url or "").port
        remember(data, known.model_copy(update={"backend_port": backend_port}))
        rounds = Rounds(make_context(workspace, settings), tell)
        if images.trouble:
            tell(f"images are not shown: {images.trouble}; they will be when it is free")
        tell("Images are sent, and what people say comes back, until Ctrl-C.")
        rounds.go_on(stop, news)
        tell("stopping …")


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """As by Ctrl-C: what was started is stopped first."""

    def end(number: int, frame: FrameType | None) -> None:
        raise SystemExit(TERMINATED)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
