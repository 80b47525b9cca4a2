"""The cameras of a run: the catalog's, Grand Lyon's where they can be reached, simulated ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from pipeline.cadence import utc_now
from pipeline.catalog.cameras import camera_of
from pipeline.errors import PipelineError, UserError
from pipeline.logs import get_logger
from pipeline.records import Camera, Policy
from services.capture.fetching import make_fetcher
from services.capture.settings import CaptureSettings
from services.scheduler.feeds import FEEDS
from services.scheduler.sources import save_camera
from services.simulation.server import CityServer
from traboule.discovery import take_up
from traboule.workspace import Workspace

FEED = "simulation"
PUBLIC_FEED = "grandlyon"
ASK_FOR_S = 5.0  # each of the feed's two lists
SIMULATED_BESIDE = 2
SIMULATED_ALONE = 4
REFRESH_S = 4.0

log = get_logger(__name__)


@dataclass(frozen=True)
class Lineup:
    """How many cameras are to be simulated, and who takes part, in one line."""

    simulated: int
    told: str


def choose_cameras(workspace: Workspace, simulate: int | None) -> Lineup:
    """With a number: so many simulated ones, beside the catalog's. Else whoever can be reached.

    UserError when there is none at all.
    """
    if simulate is not None:
        own = _count_own(workspace)
        if not own and not simulate:
            raise UserError(
                "there is no camera to poll: traboule cameras discover grandlyon, or --simulate 4"
            )
        beside = f", beside {own} of yours" if own else ""
        return Lineup(simulate, f"Cameras: {simulate} simulated{beside}.")
    try:
        found = _discover()
    except PipelineError as error:
        log.warning("feed not reached", feed=PUBLIC_FEED, reason=str(error))
        return _describe_alone(workspace)
    if not _public(workspace):  # else the user has chosen among them
        take_up(workspace, found)
    polled = len([camera for camera in _public(workspace) if not camera.paused])
    told = f"Cameras: Grand Lyon's ({polled}), and {SIMULATED_BESIDE} simulated ones."
    return Lineup(SIMULATED_BESIDE, told)


def save_simulated(workspace: Workspace, server: CityServer, detectors: Sequence[str]) -> None:
    """The server's cameras as the catalog's; those it does not serve are paused.

    UserError when somebody added a camera by such an id.
    """
    served = [_camera(server, camera_id, tuple(detectors)) for camera_id in server.city.camera_ids]
    ids = {camera.id for camera in served}
    for known in _known(workspace):
        if known.feed != FEED and known.id in ids:
            raise UserError(
                f"the camera {known.id} is yours, and a simulated one is called so too; "
                f"simulate fewer, or: traboule cameras remove {known.id}"
            )
        if known.feed == FEED and known.id not in ids and not known.paused:
            paused = known.model_copy(update={"paused": True})
            save_camera(workspace.catalog, workspace.store, paused, utc_now())
    for camera in served:
        # This machine need not be spared: their first polls are due at once.
        due = utc_now() - timedelta(seconds=camera.every_s)
        save_camera(workspace.catalog, workspace.store, camera, due)


def _discover() -> list[Camera]:
    return FEEDS[PUBLIC_FEED](make_fetcher(CaptureSettings(), ASK_FOR_S))


def _describe_alone(workspace: Workspace) -> Lineup:
    own = _count_own(workspace)
    beside = f" and {own} of yours" if own else " alone"
    told = (
        f"Cameras: Grand Lyon's cannot be reached; {SIMULATED_ALONE} of the simulated city{beside}."
    )
    return Lineup(SIMULATED_ALONE, told)


def _camera(server: CityServer, camera_id: str, detectors: tuple[str, ...]) -> Camera:
    drawn = server.city.camera(camera_id)
    return Camera(
        id=drawn.id,
        url=server.camera_url(drawn.id),
        name=drawn.name,
        feed=FEED,
        every_s=server.city.refresh_s,
        policy=Policy.KEEP,
        licence="CC0",
        attribution="Traboule's simulated city",
        latitude=drawn.latitude,
        longitude=drawn.longitude,
        detectors=detectors,
    )


def _known(workspace: Workspace) -> list[Camera]:
    return [camera_of(row) for row in workspace.catalog.cameras.all()]


def _public(workspace: Workspace) -> list[Camera]:
    return [camera for camera in _known(workspace) if camera.feed == PUBLIC_FEED]


def _count_own(workspace: Workspace) -> int:
    return sum(not camera.paused for camera in _known(workspace) if camera.feed != FEED)
