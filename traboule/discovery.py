"""Taking up a feed's cameras: new ones as they are, known ones without touching their settings."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pipeline.cadence import utc_now
from pipeline.errors import UserError
from pipeline.records import Camera
from traboule.workspace import Workspace

# What a user may have set, and keeps.
SETTINGS = (
    "policy",
    "every_s",
    "paused",
    "detectors",
    "near_duplicate_distance",
    "keep_truncated",
)


class Change(StrEnum):
    ADDED = "added"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    OTHER = "left alone: a camera by this id was added by hand or by another feed"


@dataclass(frozen=True)
class Discovered:
    camera: Camera
    change: Change


def find_cameras(feed: str) -> list[Camera]:
    """What the feed lists now. UserError for an unknown feed; TransientError when out of reach."""
    from services.capture.fetching import make_fetcher
    from services.capture.settings import CaptureSettings
    from services.scheduler.feeds import FEEDS

    if feed not in FEEDS:
        raise UserError(f"no feed {feed!r}; there are: {', '.join(sorted(FEEDS))}")
    return FEEDS[feed](make_fetcher(CaptureSettings()))


def take_up(workspace: Workspace, found: list[Camera]) -> list[Discovered]:
    """Save what is new or has changed; in the order of `found`."""
    from services.scheduler.sources import save_camera

    discovered = [_compare(workspace, camera) for camera in found]
    for one in discovered:
        if one.change in (Change.ADDED, Change.UPDATED):
            save_camera(workspace.catalog, workspace.store, one.camera, utc_now())
    return discovered


def _compare(workspace: Workspace, camera: Camera) -> Discovered:
    row = workspace.catalog.cameras.get(camera.id)
    if row is None:
        return Discovered(camera, Change.ADDED)
    known = Camera.model_validate(row.record)
    if known.feed != camera.feed:
        return Discovered(known, Change.OTHER)
    updated = camera.model_copy(update={name: getattr(known, name) for name in SETTINGS})
    return Discovered(updated, Change.UNCHANGED if updated == known else Change.UPDATED)
