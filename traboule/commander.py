"""What a person commands: carried out here, or sent to the stage whose matter it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pipeline.cadence import utc_now
from pipeline.records import Camera
from traboule.workspace import Workspace


class Commander(Protocol):
    """Every method returns when the catalog shows that it is done.

    UserError for what cannot be done, or was asked for and is not done yet; TransientError when
    broker, catalog or store does not answer.
    """

    def save_cameras(self, cameras: Sequence[Camera]) -> None: ...

    def remove_camera(self, camera_id: str) -> None: ...

    def delete_image(self, image_id: str, reason: str) -> None: ...

    def restore_drop(self, image_id: str) -> None: ...

    def push_images(self, images: Sequence[str]) -> None:
        """Detected images wait to be sent to Label Studio, or were sent."""
        ...


@dataclass(frozen=True)
class Direct:
    """Safe beside a live run: state changes are conditional, deleting begins with a tombstone."""

    workspace: Workspace

    def save_cameras(self, cameras: Sequence[Camera]) -> None:
        from services.scheduler.sources import save_camera

        for camera in cameras:
            save_camera(self.workspace.catalog, self.workspace.store, camera, utc_now())

    def remove_camera(self, camera_id: str) -> None:
        from services.scheduler.sources import remove_camera

        remove_camera(self.workspace.catalog, self.workspace.store, camera_id)

    def delete_image(self, image_id: str, reason: str) -> None:
        from services.maintenance.erasure import delete_image
        from traboule.upkeep import open_maintenance

        delete_image(open_maintenance(self.workspace), image_id, reason)

    def restore_drop(self, image_id: str) -> None:
        from services.maintenance.restoring import restore_drop
        from traboule.upkeep import open_maintenance

        restore_drop(open_maintenance(self.workspace), image_id)

    def push_images(self, images: Sequence[str]) -> None:
        from services.labeling.sending.considering import ask_for
        from traboule.labels.reaching import open_labeling

        ask_for(open_labeling(self.workspace), images)


def find_commander(workspace: Workspace) -> Commander:
    """Whoever has commands carried out where this workspace is."""
    if not workspace.is_composed:
        return Direct(workspace)
    from traboule.sending import Sent, open_sender

    return Sent(workspace, open_sender(workspace.settings.broker_url))
