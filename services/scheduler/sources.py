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
    _put(store, camera)
    catalog.cameras.save(camera, first_due(camera, now))
    _settle(catalog, store, camera.id)


def save_listed(
    catalog: Catalog, store: ObjectStore, camera: Camera, before: Camera | None, now: datetime
) -> bool:
    """Save what a feed says of a camera, if that is still as it was `before`: what a person did
    meanwhile stays. None: it was not there."""
    _put(store, camera)
    due_at = first_due(camera, now)
    if before is None:
        saved = catalog.cameras.add_listed(camera, due_at)
    else:
        saved = catalog.cameras.replace(before, camera, due_at)
    if not saved:
        _settle(catalog, store, camera.id)
    return saved


def remove_camera(catalog: Catalog, store: ObjectStore, camera_id: str) -> bool:
    """Forget a camera, and its feed's bringing it again; its images stay. Whether there was one."""
    row = catalog.cameras.get(camera_id)
    if row is not None and (feed := camera_of(row).feed) != MANUAL:
        catalog.feeds.mark_known(feed, camera_id)
    store.delete(keys.source(camera_id))
    removed = catalog.cameras.remove(camera_id)
    _settle(catalog, store, camera_id)
    return removed


def _settle(catalog: Catalog, store: ObjectStore, camera_id: str) -> None:
    """Leave the object as the row is: another may have written it between our object and our row.

    Whoever does so looks at the row again, so that the last of them leaves both the same. One
    whose change of the row rested on what it read needs it only if that change was refused.
    """
    left = _find(catalog, camera_id)
    while True:
        if left is None:
            store.delete(keys.source(camera_id))
        else:
            _put(store, left)
        now = _find(catalog, camera_id)
        if now == left:
            return
        left = now


def _put(store: ObjectStore, camera: Camera) -> None:
    put_json(store, keys.source(camera.id), camera.model_dump_json(indent=1))


def _find(catalog: Catalog, camera_id: str) -> Camera | None:
    row = catalog.cameras.get(camera_id)
    return None if row is None else camera_of(row)


def get_camera(catalog: Catalog, camera_id: str) -> Camera:
    """UserError when there is none by that id."""
    camera = _find(catalog, camera_id)
    if camera is None:
        raise UserError(f"no camera {camera_id!r}; see: traboule cameras list")
    return camera
