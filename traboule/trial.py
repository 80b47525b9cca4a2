"""One poll of a camera that saves nothing: what came, and what would become of it."""

from __future__ import annotations

from pipeline.addresses import hide_secrets
from pipeline.cadence import utc_now
from pipeline.errors import FetchError
from pipeline.records import FAILURES, Camera
from traboule.workspace import Workspace

# Fields of a trial that a fetch which failed does not have.
_UNKNOWN: dict[str, object] = {
    "status": None,
    "bytes": None,
    "sha256": None,
    "content_type": None,
    "width": None,
    "height": None,
    "truncated": None,
    "phash": None,
    "conditions": None,
    "resembles": None,
    "headers": {},
}


def try_camera(workspace: Workspace, camera: Camera) -> dict[str, object]:
    """A record of the poll: without validators, so that the bytes come even where they are old."""
    from pipeline.admission import Admission
    from pipeline.decoding import DecodeLimits
    from services.capture.fetching import make_fetcher
    from services.capture.poll import received_from
    from services.capture.settings import CaptureSettings

    settings = CaptureSettings()
    at = utc_now().replace(microsecond=0)
    about = {"id": camera.id, "time": at, "url": hide_secrets(camera.url)}
    try:
        response = make_fetcher(settings).fetch(camera.url)
    except FetchError as error:
        return about | {"outcome": error.outcome.value, "reason": error.reason} | _UNKNOWN
    admission = Admission(workspace.catalog, DecodeLimits(max_pixels=settings.max_pixels))
    verdict, candidate = admission.judge(received_from(camera, response, at))
    header, look = candidate.header, candidate.look
    return about | {
        "outcome": verdict.outcome.value,
        "reason": verdict.reason,
        "status": response.status,
        "bytes": len(response.body),
        "sha256": candidate.sha256,
        "content_type": header and header.content_type,
        "width": header and header.width,
        "height": header and header.height,
        "truncated": header and header.truncated,
        "phash": look and look.phash,
        "conditions": look and look.conditions.model_dump(),
        "resembles": verdict.resembles,
        "headers": dict(response.headers),
    }


def has_failed(trial: dict[str, object]) -> bool:
    return trial["outcome"] in {outcome.value for outcome in FAILURES}
