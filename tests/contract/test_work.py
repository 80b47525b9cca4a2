from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pipeline.catalog import Catalog
from pipeline.catalog.images import Description, NewImage

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
IN_TEN_MINUTES = NOW + timedelta(minutes=10)


def store(catalog: Catalog, image_id: str) -> None:
    catalog.images.begin(NewImage(image_id, "a", image_id, NOW), NOW)
    described = Description(640, 480, "00" * 8, {"phash": "00" * 8})
    assert catalog.images.mark_stored(image_id, described, NOW, IN_TEN_MINUTES)


def test_images_that_await_a_model_and_no_others_are_announced_when_it_comes(
    catalog: Catalog,
) -> None:
    for image_id in ("awaits", "stored"):
        store(catalog, image_id)
    assert catalog.work.claim("awaits", "token", NOW, IN_TEN_MINUTES)
    catalog.work.await_model("awaits", "token", "no yunet", IN_TEN_MINUTES)
    assert catalog.work.take_due(NOW, 10) == ["stored"], "not due again for a while"
    assert catalog.work.announce_awaiting(NOW) == 1
    assert catalog.work.announce_awaiting(NOW) == 0, "it is due already"
    assert catalog.work.take_due(NOW, 10) == ["awaits"]
