"""Predictions for a Label Studio of this data folder's own: its "Retrieve predictions" asks here.

The address stands in its project alone, and is renewed there, so that another port does as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from urllib.parse import urlsplit

from pipeline.errors import UserError
from pipeline.storage import ObjectStore
from services.detection.backend.api import find_problem, make_api
from services.detection.backend.serving import make_backend
from services.detection.backend.settings import BackendSettings
from services.detection.settings import DetectionSettings
from services.labeling.api import serving
from services.labeling.settings import LabelingSettings
from traboule.labels.connection import LOOPBACK

FIRST_BACKEND_PORT = 8301


@contextmanager
def predicting(
    settings: LabelingSettings, store: ObjectStore, tell: Callable[[str], None]
) -> Iterator[None]:
    """At work meanwhile. Where it cannot be, `tell` hears why, and all else goes on without."""
    named = BackendSettings(
        user=settings.backend_user,
        password_file=settings.backend_password_file,
        label_studio_url=settings.url,
    )
    backend = make_backend(named, DetectionSettings(), store)
    port = urlsplit(settings.backend_url or "").port or 0
    with closing(backend.predictor), ExitStack() as running:
        # It loads the models beforehand: Label Studio waits three seconds for an answer.
        if problem := find_problem(backend):
            tell(f"no predictions are given yet: {problem}")
        try:
            running.enter_context(serving(make_api(backend), LOOPBACK, port))
        except UserError as error:
            tell(f"no predictions are given: {error}; begin again: traboule labels serve")
        yield
