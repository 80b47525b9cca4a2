"""Opening the user's data for one command: to look at what is there, or to begin something new."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from pipeline.errors import UserError
from traboule.workspace import Workspace, open_workspace


@contextmanager
def existing_data(data: Path | None) -> Iterator[Workspace]:
    """UserError when a folder was named that is not there: a slip of the keyboard makes none."""
    if data is not None and not data.expanduser().is_dir():
        raise UserError(
            f"there is no folder {data}; name another with --data, or begin one: "
            f"traboule run --data {data}"
        )
    with any_data(data) as workspace:
        yield workspace


def check_camera(workspace: Workspace, camera_id: str | None) -> None:
    """UserError for a camera that is not there and of which nothing is left: a slip, most likely.

    None asks for no camera in particular.
    """
    from pipeline.catalog.images import ImageFilter

    catalog = workspace.catalog
    if camera_id is None or catalog.cameras.get(camera_id) is not None:
        return
    has_images = catalog.images.count(ImageFilter(camera=camera_id, limit=None)) > 0
    if not has_images and camera_id not in catalog.counters.totals():
        raise UserError(f"no camera {camera_id!r}; see: traboule cameras list")


@contextmanager
def any_data(data: Path | None) -> Iterator[Workspace]:
    """The folder is made where it is not there yet."""
    with closing(open_workspace(data)) as workspace:
        yield workspace
