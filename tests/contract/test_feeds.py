from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from pipeline.catalog import Catalog
from pipeline.catalog.feeds import FeedEnd
from pipeline.catalog.tables import FeedRow

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)
HOUR = timedelta(hours=1)


def row_of(catalog: Catalog, feed: str = "lyon") -> FeedRow:
    [row] = [row for row in catalog.feeds.all() if row.id == feed]
    return row


def test_feed_never_asked_is_due(catalog: Catalog) -> None:
    assert catalog.feeds.due(["lyon", "city"], NOW) == ["lyon", "city"]
    assert catalog.feeds.due([], NOW) == []
    assert catalog.feeds.all() == [], "looking leaves no trace"


def test_feed_due_is_claimed_by_one_of_many(catalog: Catalog) -> None:
    with ThreadPoolExecutor(8) as pool:
        claims = list(
            pool.map(lambda n: catalog.feeds.claim("lyon", str(n), NOW, LATER), range(16))
        )
    assert len([claim for claim in claims if claim is not None]) == 1
    assert catalog.feeds.due(["lyon"], NOW) == []


def test_lease_that_ran_out_is_anothers(catalog: Catalog) -> None:
    assert catalog.feeds.claim("lyon", "dead", NOW, LATER)
    assert catalog.feeds.due(["lyon"], LATER) == ["lyon"]
    assert catalog.feeds.claim("lyon", "next", LATER, LATER + HOUR)
    assert not catalog.feeds.finish("lyon", "dead", FeedEnd(LATER, LATER, cameras=3))
    assert row_of(catalog).lease_token == "next"
    assert row_of(catalog).cameras == 0


def test_list_that_was_found_is_noted_once(catalog: Catalog) -> None:
    catalog.feeds.claim("lyon", "token", NOW, LATER)
    end = FeedEnd(NOW, NOW + HOUR, cameras=15, taken_up=["b", "a"])
    assert catalog.feeds.finish("lyon", "token", end)
    assert not catalog.feeds.finish("lyon", "token", end)
    row = row_of(catalog)
    assert (row.found_at, row.due_at, row.cameras) == (NOW, NOW + HOUR, 15)
    assert (row.known, row.failures, row.reason, row.lease_until) == (["a", "b"], 0, "", None)
    assert catalog.feeds.due(["lyon"], NOW + HOUR) == ["lyon"]


def test_failures_are_counted_and_keep_what_was_found(catalog: Catalog) -> None:
    ends = [
        FeedEnd(NOW, NOW, cameras=2, taken_up=["a"]),
        FeedEnd(LATER, LATER, reason="no answer"),
        FeedEnd(LATER, LATER, reason="still none"),
    ]
    for number, end in enumerate(ends):
        assert catalog.feeds.claim("lyon", str(number), end.at, end.at + HOUR)
        assert catalog.feeds.finish("lyon", str(number), end)
    row = row_of(catalog)
    assert (row.failures, row.reason) == (2, "still none")
    assert (row.found_at, row.cameras, row.known) == (NOW, 2, ["a"])
    claimed = catalog.feeds.claim("lyon", "3", LATER, LATER + HOUR)
    assert claimed is not None and claimed.failures == 2
    catalog.feeds.finish("lyon", "3", FeedEnd(LATER, LATER, cameras=2))
    assert (row_of(catalog).failures, row_of(catalog).reason) == (0, "")


def test_known_cameras_of_concurrent_writers_are_all_kept(catalog: Catalog) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: catalog.feeds.mark_known("lyon", f"a-{n:02}"), range(24)))
    assert row_of(catalog).known == [f"a-{n:02}" for n in range(24)]


def test_feed_of_which_a_camera_was_removed_is_due_as_before(catalog: Catalog) -> None:
    catalog.feeds.mark_known("lyon", "gone")
    assert catalog.feeds.due(["lyon"], NOW) == ["lyon"]
    row = catalog.feeds.claim("lyon", "token", NOW, LATER)
    assert row is not None and row.known == ["gone"]
    catalog.feeds.mark_known("lyon", "gone-meanwhile")
    catalog.feeds.finish("lyon", "token", FeedEnd(NOW, NOW + HOUR, taken_up=["a"]))
    assert row_of(catalog).known == ["a", "gone", "gone-meanwhile"]
