"""Taking up a feed's cameras by hand: those that were removed as well."""

from __future__ import annotations

from pipeline.records import Camera
from services.scheduler.discovery import Change, Discovered, compare
from services.scheduler.feeds import find_feed
from services.scheduler.fetching import make_fetcher
from services.scheduler.settings import SchedulerSettings
from traboule.commander import find_commander
from traboule.workspace import Workspace

__all__ = ["Change", "Discovered", "find_cameras", "take_up"]


def find_cameras(feed: str) -> list[Camera]:
    """What the feed lists now. UserError for an unknown feed; TransientError when out of reach."""
    settings = SchedulerSettings()
    return find_feed(feed, settings)(make_fetcher(settings))


def take_up(workspace: Workspace, found: list[Camera]) -> list[Discovered]:
    """Save what is new or has changed; in the order of `found`."""
    discovered = [compare(workspace.catalog, camera) for camera in found]
    to_save = [one.camera for one in discovered if one.is_to_save]
    find_commander(workspace).save_cameras(to_save)
    return discovered
