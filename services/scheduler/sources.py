"""The list of cameras: written to `sources/` first, then to the catalog."""

from __future__ import annotations

from datetime import datetime

from pipeline import keys
from pipeline.cadence import first_due
from pipeline.catalog import Catalog
from pipeline.catalog.cameras import camera_of
from pipeline.errors import UserError
from pipeline.records import Camera
from pipeline.storage import ObjectStore, put_json

MANUAL = "manual"  # the feed of a camera that a person added: see records.Camera


def save_camera(catalog: Catalog, store: ObjectStore, camera: Camera, now: datetime) -> None:
    """Add a camera, or change one. A change takes effect at its next poll."""
    put_json(store, keys.source(camera.id), camera.model_dump_json(indent=1))
    catalog.cameras.save(camera, first_due(camera, now))


def remove_camera(catalog: Catalog, store: ObjectStore, camera_id: str) -> bool:
    """Forget a camera, and its feed's bringing it again; its images stay. Whether there was one."""
    row = catalog.cameras.get(camera_id)
    if row is not None and (feed := camera_of(row).feed) != MANUAL:
        catalog.feeds.mark_known(feed, camera_id)
    store.delete(keys.source(camera_id))
    return catalog.cameras.remove(camera_id)


def get_camera(catalog: Catalog, camera_id: str) -> Camera:
    """UserError when there is none by that id."""
    row = catalog.cameras.get(camera_id)
    if row is None:
        raise UserError(f"no camera {camera_id!r}; see: traboule cameras list")
    return camera_of(row)
