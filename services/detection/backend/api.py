"""The routes that Label Studio asks of an ML backend; all but /health by basic authentication.

GET  /health      200 {"status": "UP"}; beside it, while a model is missing, {"problem": why}
POST /setup       200 {"model_version": …}, null while a model is missing: Label Studio takes no
                  backend that refuses here; 422 for an interface in which none of our labels can
                  be drawn
POST /predict     200 {"results": […]}; 503 while a model is missing: Label Studio stores nothing
POST /webhook     204; nothing is learnt here
GET  /versions    200 {"versions": […]}
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pipeline.errors import CorruptModel, ModelUnavailable
from pipeline.labels.interface import UnreadableInterface
from pipeline.logs import get_logger
from services.detection.backend.abilities import (
    Ability,
    GiveDetectors,
    NothingToFind,
    find_ability,
)
from services.detection.backend.access import is_known
from services.detection.backend.bodies import Refused, read_asked
from services.detection.backend.predicting import Predictor, Question
from services.detection.backend.protocol import PredictRequest, SetupRequest
from services.detection.backend.settings import BackendSettings
from services.detection.backend.setups import Setup, Setups

MAX_SETUP_BYTES = 4 * 2**20
MODEL_MISSING = 503
HEALTH_WITHIN_S = 0.5  # Label Studio waits for a second
MAX_PREDICT_BYTES = 16 * 2**20  # ten thousand tasks as Label Studio writes them

log = get_logger(__name__)

Answer = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class Backend:
    settings: BackendSettings
    detectors: GiveDetectors
    predictor: Predictor
    setups: Setups = field(default_factory=Setups)

    async def set_up(self, request: Request) -> Response:
        asked = await read_asked(request, SetupRequest, MAX_SETUP_BYTES)
        version = None
        try:
            version = (await self._find_ability(asked.interface)).version
        except Refused as refused:
            if refused.status != MODEL_MISSING:
                raise
        self.setups.remember(asked.project, Setup(asked.url, asked.access_token, version))
        return JSONResponse({"model_version": version})

    async def predict(self, request: Request) -> Response:
        ends_at = time.monotonic() + self.settings.deadline_s
        asked = await read_asked(request, PredictRequest, MAX_PREDICT_BYTES)
        ability = await self._find_ability(asked.interface)
        question = Question(ability, self.setups.of(asked.project), ends_at)
        found = await self.predictor.answer(asked.tasks, question, self.settings.max_tasks)
        if asked.is_interactive:  # nothing is stored of it, and it wants one prediction
            return JSONResponse({"results": [ability.merge(one) for one in found]})
        return JSONResponse({"results": found})

    async def take_event(self, request: Request) -> Response:
        return Response(status_code=204)

    async def list_versions(self, request: Request) -> Response:
        return JSONResponse({"versions": self.setups.versions()})

    async def _find_ability(self, interface: str) -> Ability:
        wanted = (interface, self.settings, self.detectors)
        try:
            return await asyncio.to_thread(find_ability, *wanted)
        except (UnreadableInterface, NothingToFind) as error:
            raise Refused(422, str(error)) from error
        except (ModelUnavailable, CorruptModel) as error:
            log.warning("no predictions", reason=str(error))
            raise Refused(MODEL_MISSING, str(error)) from error

    async def tell_health(self, request: Request) -> Response:
        """Well or not, it is up: what is not would be taken for no backend at all."""
        told = {"status": "UP", "model_class": "Traboule"}
        with suppress(TimeoutError):  # the models are being loaded
            async with asyncio.timeout(HEALTH_WITHIN_S):
                problem = await asyncio.to_thread(find_problem, self)
                told |= {"problem": problem} if problem else {}
        return JSONResponse(told)


def find_problem(backend: Backend) -> str:
    """Why nothing is predicted, and what to do; empty where all models are there."""
    names = (*backend.settings.detectors, *backend.settings.face_detectors)
    try:
        backend.detectors(names)
    except (ModelUnavailable, CorruptModel) as error:
        return str(error)
    return ""


def make_api(backend: Backend) -> Starlette:
    def guard(answer: Answer) -> Answer:
        async def answer_if_known(request: Request) -> Response:
            given = request.headers.get("authorization", "")
            if not await asyncio.to_thread(is_known, given, backend.settings):
                return _refuse(401, "not known here", {"WWW-Authenticate": "Basic"})
            try:
                return await answer(request)
            except Refused as refused:
                return _refuse(refused.status, refused.reason)

        return answer_if_known

    return Starlette(
        routes=[
            Route("/health", backend.tell_health),
            Route("/setup", guard(backend.set_up), methods=["POST"]),
            Route("/predict", guard(backend.predict), methods=["POST"]),
            Route("/webhook", guard(backend.take_event), methods=["POST"]),
            Route("/versions", guard(backend.list_versions)),
        ]
    )


def _refuse(status: int, reason: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": reason}, status, headers)
