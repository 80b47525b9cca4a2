"""Commands sent as messages, and watched in the catalog until they are carried out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass

from rich.console import Console

from pipeline import keys
from pipeline.broker import Handlers, Publish, make_app, publisher
from pipeline.cadence import utc_now
from pipeline.catalog.cameras import camera_of
from pipeline.catalog.labeling.tasks import TaskState
from pipeline.errors import BrokerError, TransientError, UserError
from pipeline.messages import (
    DeleteImage,
    Message,
    PushImages,
    RemoveCamera,
    RestoreDrop,
    SaveCamera,
)
from pipeline.records import KEPT_STATES, Camera, ImageState
from pipeline.routes import route_of
from traboule.traces import find_traces
from traboule.workspace import Workspace

WAIT_S = 20.0
LOOK_EVERY_S = 0.2
IMAGES_PER_MESSAGE = 500


def open_sender(broker_url: str) -> Publish:
    """A way to send messages; nothing is connected to before the first."""
    return publisher(make_app("cli", broker_url, Handlers[None](), lambda publish: None))


@dataclass(frozen=True)
class Sent:
    """What a reader can tell is refused before anything is sent."""

    workspace: Workspace
    publish: Publish

    def save_cameras(self, cameras: Sequence[Camera]) -> None:
        def are_saved() -> bool:
            rows = {row.id: row for row in self.workspace.catalog.cameras.all()}
            return all(one.id in rows and camera_of(rows[one.id]) == one for one in cameras)

        if cameras:
            messages = [SaveCamera(camera=camera) for camera in cameras]
            what = f"{len(cameras)} cameras" if len(cameras) > 1 else cameras[0].id
            self._ask(messages, f"save {what}", are_saved)

    def remove_camera(self, camera_id: str) -> None:
        def is_removed() -> bool:
            return self.workspace.catalog.cameras.get(camera_id) is None

        self._ask([RemoveCamera(camera=camera_id)], f"remove {camera_id}", is_removed)

    def delete_image(self, image_id: str, reason: str) -> None:
        if not find_traces(self.workspace, image_id):
            raise UserError(f"no image {image_id!r}; see: traboule images list")

        def is_erased() -> bool:
            return find_traces(self.workspace, image_id) == {keys.tombstone(image_id)}

        self._ask([DeleteImage(image=image_id, reason=reason)], f"erase {image_id}", is_erased)

    def restore_drop(self, image_id: str) -> None:
        self._check_restorable(image_id)

        def is_restored() -> bool:
            row = self.workspace.catalog.images.get(image_id)
            return row is not None and row.state in KEPT_STATES

        self._ask([RestoreDrop(image=image_id)], f"restore {image_id}", is_restored)

    def push_images(self, images: Sequence[str]) -> None:
        from traboule.labels.projects import find_project_key

        project, tasks = find_project_key(self.workspace), self.workspace.catalog.labeling

        began, taken = utc_now(), {TaskState.WAITING, TaskState.SENT}

        def are_taken() -> bool:
            rows = tasks.rows(project, images)
            done = (row.state in taken or row.updated_at > began for row in rows.values())
            return len(rows) == len(images) and all(done)

        parts = range(0, len(images), IMAGES_PER_MESSAGE)
        messages = [PushImages(images=tuple(images[n : n + IMAGES_PER_MESSAGE])) for n in parts]
        if messages and not are_taken():
            self._ask(messages, f"send {len(images)} images", are_taken)

    def _ask(self, messages: Sequence[Message], what: str, is_done: Callable[[], bool]) -> None:
        """Send the messages, all of them for one stage, and wait for what they bring about."""
        try:
            for message in messages:
                self.publish(message)
        except BrokerError as error:
            why = str(error.__cause__ or "it is away").rstrip(".")
            raise BrokerError(f"{error}: {why}; see: docker compose logs broker") from error
        route = route_of(type(messages[0]))
        stage = route.queue if route else "nobody"
        console = Console(stderr=True, highlight=False)
        waiting = console.status(f"{stage} is asked to {what} …")
        with waiting if console.is_terminal else nullcontext():
            if not self._is_done_in_time(is_done):
                raise UserError(
                    f"asked, not carried out yet: {stage} is to {what}, and will as soon as it "
                    f"can; see: docker compose logs {stage}"
                )

    def _is_done_in_time(self, is_done: Callable[[], bool]) -> bool:
        ends_at = time.monotonic() + WAIT_S
        while True:
            with suppress(TransientError):  # what was asked for does not depend on our looking
                if is_done():
                    return True
            if time.monotonic() >= ends_at:
                return False
            time.sleep(LOOK_EVERY_S)

    def _check_restorable(self, image_id: str) -> None:
        """As far as the catalog knows; raw/dropped/ itself is not ours to read."""
        from services.maintenance.restoring import explain_refusal, find_drop

        catalog = self.workspace.catalog
        row = catalog.images.get(image_id) if keys.is_image_id(image_id) else None
        if row is None:
            raise UserError(f"no image {image_id!r}; see: traboule drops list")
        drop = find_drop(catalog, row)
        until = drop.expires_at if drop else None
        if row.state != ImageState.DROPPED or until is None or until <= utc_now():
            raise UserError(explain_refusal(catalog, image_id))
