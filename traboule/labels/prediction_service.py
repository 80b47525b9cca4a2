"""Predictions for a Label Studio of this data folder's own: its "Retrieve predictions" asks here.

The address stands in its project alone, and is renewed there, so that another port does as well;
only one that is ours by then may be named there, since the password goes to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from urllib.parse import urlsplit

from pipeline.errors import UserError
from pipeline.storage import ObjectStore
from services.detection.backend.api import Backend, find_problem, make_api
from services.detection.backend.serving import make_backend
from services.detection.backend.settings import BackendSettings
from services.detection.settings import DetectionSettings
from services.labeling.api import serving
from services.labeling.settings import LabelingSettings
from traboule.labels.connection import LOOPBACK

FIRST_BACKEND_PORT = 8301
ANY_PORT = 0


@contextmanager
def predicting(
    settings: LabelingSettings, store: ObjectStore, tell: Callable[[str], None]
) -> Iterator[LabelingSettings]:
    """At work meanwhile; gives the settings with the address that it has. Where it has none, `tell`
    hears why, and all else goes on without."""
    named = BackendSettings(
        user=settings.backend_user,
        password_file=settings.backend_password_file,
        label_studio_url=settings.url,
    )
    backend = make_backend(named, DetectionSettings(), store)
    wished = urlsplit(settings.backend_url or "").port or ANY_PORT
    with closing(backend.predictor), ExitStack() as running:
        # It loads the models beforehand: Label Studio waits for an answer for seconds alone.
        if problem := find_problem(backend):
            tell(f"no predictions are given yet: {problem}")
        url = None
        try:
            url = f"http://{LOOPBACK}:{_listen(running, backend, wished)}"
        except UserError as error:
            tell(f"no predictions are given: {error}; begin again: traboule labels serve")
        yield settings.model_copy(update={"backend_url": url})


def _listen(running: ExitStack, backend: Backend, wished: int) -> int:
    """Until `running` ends, at the port wished for, or at any."""
    api = make_api(backend)
    try:
        return running.enter_context(serving(api, LOOPBACK, wished))
    except UserError:
        return running.enter_context(serving(api, LOOPBACK, ANY_PORT))
