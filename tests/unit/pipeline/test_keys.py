from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from pipeline import keys

ID = "cwl7033-20261121T091640Z-8be14bda"


def test_image_id_is_source_utc_time_and_hash() -> None:
    lyon = datetime(2026, 11, 21, 10, 16, 40, tzinfo=timezone(timedelta(hours=1)))
    assert keys.image_id("cwl7033", lyon, "8be14bdafb0b") == ID


def test_id_of_a_source_with_dashes_is_taken_apart() -> None:
    image = keys.image_id("rue-de-la-2", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "0" * 64)
    assert keys.source_of(image) == "rue-de-la-2"
    assert keys.captured_at(image) == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_keys_lie_below_their_bucket_by_source_and_day() -> None:
    assert keys.frame(ID) == f"raw/frames/cwl7033/2026-11-21/{ID}"
    assert keys.dropped_mark(ID) == f"raw/dropped/cwl7033/2026-11-21/{ID}.json"
    assert keys.stored_image(ID) == f"images/cwl7033/2026-11-21/{ID}.jpg"
    assert keys.detections(ID) == f"detections/cwl7033/2026-11-21/{ID}.json"


def test_annotations_of_an_image_lie_in_its_folder() -> None:
    revision = "20261121T100000000000Z-0badcafe"
    key = keys.annotation(ID, revision)
    assert key == f"annotations/{ID}/{revision}.json"
    assert key.startswith(keys.annotations_folder(ID))
    assert (keys.image_of(key), keys.revision_of(key)) == (ID, revision)
    assert keys.day_of(ID) == "2026-11-21"


@pytest.mark.parametrize("revision", ["", "a/b", "..", "a.b", "-", "a\n", "é"])
def test_revision_that_would_leave_the_folder_is_refused(revision: str) -> None:
    with pytest.raises(ValueError, match="not a revision"):
        keys.annotation(ID, revision)


def test_image_of_finds_the_id_in_every_key() -> None:
    assert {keys.image_of(key) for key in (*keys.every_object(ID), keys.tombstone(ID))} == {ID}


@pytest.mark.parametrize(
    "text", ["", "a", "../../etc", "A-20261121T091640Z-8be14bda", ID + "/x", ID[:-1], ID + "\n"]
)
def test_what_is_no_id_is_refused(text: str) -> None:
    assert not keys.is_image_id(text)
    with pytest.raises(ValueError, match="not an image's id"):
        keys.frame(text)
    with pytest.raises(ValueError, match="not an image's id"):
        keys.annotations_folder(text)
