from __future__ import annotations

from datetime import timedelta

import pytest

from pipeline.catalog.feeds import FeedEnd
from tests.factories import MORNING
from traboule.feed_status import FeedStatus, are_late, read_feeds
from traboule.workspace import Workspace

LATER = MORNING + timedelta(minutes=4)


@pytest.fixture(autouse=True)
def _asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCHEDULER_FEEDS", '["grandlyon"]')


def ask(workspace: Workspace, feed: str, reason: str = "", cameras: int = 0) -> None:
    feeds, until = workspace.catalog.feeds, MORNING + timedelta(seconds=60)
    assert feeds.claim(feed, "token", MORNING, until)
    end = FeedEnd(MORNING, MORNING + timedelta(hours=1), reason, cameras)
    assert feeds.finish(feed, "token", end)


def tell(workspace: Workspace) -> dict[str, str]:
    return {feed.id: feed.tell(LATER) for feed in read_feeds(workspace.catalog)}


def test_feed_that_was_never_asked_is_told(workspace: Workspace) -> None:
    assert read_feeds(workspace.catalog) == (FeedStatus("grandlyon", 0, None, None, 0, ""),)
    assert tell(workspace) == {"grandlyon": "not asked yet"}


def test_feed_tells_its_cameras_and_its_last_fault(workspace: Workspace) -> None:
    ask(workspace, "grandlyon", cameras=27)
    ask(workspace, "simulation", reason="not running")
    assert tell(workspace) == {
        "grandlyon": "27 cameras, listed 4m ago",
        "simulation": "not running",
    }


def test_feed_of_cameras_added_by_hand_is_none_of_the_schedulers(workspace: Workspace) -> None:
    workspace.catalog.feeds.mark_known("elsewhere", "quai")
    assert set(tell(workspace)) == {"grandlyon"}


def test_feeds_are_late_when_nobody_asks_them(workspace: Workspace) -> None:
    assert are_late(read_feeds(workspace.catalog), MORNING)
    ask(workspace, "grandlyon", cameras=27)
    feeds = read_feeds(workspace.catalog)
    assert not are_late(feeds, MORNING + timedelta(hours=1, seconds=30))
    assert are_late(feeds, MORNING + timedelta(hours=1, seconds=90))
    assert not are_late((), MORNING)


def test_feed_that_is_being_asked_is_not_late(workspace: Workspace) -> None:
    until = MORNING + timedelta(seconds=60)
    assert workspace.catalog.feeds.claim("grandlyon", "token", MORNING, until)
    assert not are_late(read_feeds(workspace.catalog), MORNING)
