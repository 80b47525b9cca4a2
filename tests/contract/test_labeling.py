from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from pipeline.catalog import Catalog
from pipeline.catalog.images import Description, Found, NewImage
from pipeline.catalog.labeling.claims import Claim
from pipeline.catalog.labeling.tasks import Considered, TaskState
from pipeline.catalog.tables import LabelingTaskRow

HERE, THERE = "http://127.0.0.1:8080#3", "http://127.0.0.1:8080#4"
DAY = "2026-11-21"
NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
LATER = NOW + timedelta(seconds=60)
LOOK = Description(640, 480, "00" * 8, {"phash": "00" * 8})


def about(image: str, rank: float = 0, **others: object) -> Considered:
    values = {"source": "a", "day": DAY, "reason": "all"} | others
    return Considered(image, rank=rank, **values)  # type: ignore[arg-type]


def wait(catalog: Catalog, *images: str, **others: object) -> None:
    for number, image in enumerate(images):
        assert catalog.labeling.consider(HERE, about(image, number, **others), NOW)


def claim(
    catalog: Catalog, token: str = "t", limit: int = 100, quota: int | None = None
) -> list[str]:
    return ids(catalog.labeling_claims.claim(HERE, Claim(token, NOW, LATER), limit, quota))


def ids(rows: Sequence[LabelingTaskRow]) -> list[str]:
    return [row.image_id for row in rows]


def send(catalog: Catalog, *images: str) -> None:
    """Their labeling tasks are numbered from 11."""
    wait(catalog, *images)
    assert claim(catalog) == list(images)
    tasks = {image: 11 + number for number, image in enumerate(images)}
    assert catalog.labeling_claims.mark_sent(HERE, "t", tasks, NOW) == len(images)


def row_of(catalog: Catalog, image: str, project: str = HERE) -> LabelingTaskRow:
    row = catalog.labeling.get(project, image)
    assert row is not None
    return row


def test_image_is_considered_once_in_each_project(catalog: Catalog) -> None:
    left_out = about("a-1", state=TaskState.LEFT_OUT, reason="not the 5th")
    assert catalog.labeling.consider(HERE, left_out, NOW)
    assert not catalog.labeling.consider(HERE, about("a-1"), NOW)
    assert catalog.labeling.consider(THERE, about("a-1"), NOW)
    assert catalog.labeling.count_by_state(HERE) == {"left-out": 1}
    assert catalog.labeling.reasons(HERE, TaskState.LEFT_OUT) == {"not the 5th": 1}
    assert catalog.labeling.count_by_state(THERE) == {"waiting": 1}
    assert [row.project for row in catalog.labeling.of_image("a-1")] == [HERE, THERE]


def test_lowest_rank_is_claimed_first_and_by_one_alone(catalog: Catalog) -> None:
    for image, rank in (("a-1", 0.9), ("a-2", 0.1), ("a-3", 0.5)):
        catalog.labeling.consider(HERE, about(image, rank), NOW)
    assert claim(catalog, "one", 2) == ["a-2", "a-3"]
    assert claim(catalog, "two", 2) == ["a-1"]
    assert claim(catalog, "three") == []
    row = row_of(catalog, "a-2")
    assert (row.claim_token, row.claimed_until, row.state) == ("one", LATER, "waiting")


def test_claims_of_a_project_leave_the_others_alone(catalog: Catalog) -> None:
    wait(catalog, "a-1")
    assert catalog.labeling_claims.claim(THERE, Claim("t", NOW, LATER), 10) == []


def test_what_is_sent_has_its_task_and_no_claim(catalog: Catalog) -> None:
    wait(catalog, "a-1", "a-2", "a-3")
    claim(catalog, "t", 2)
    assert catalog.labeling_claims.mark_sent(HERE, "t", {"a-1": 7, "a-2": 8, "a-3": 9}, LATER) == 2
    row = row_of(catalog, "a-1")
    assert (row.state, row.task_id, row.copy_address, row.reason) == ("sent", 7, None, "all")
    assert (row.claim_token, row.claimed_until, row.updated_at) == (None, None, LATER)
    assert row_of(catalog, "a-3").state == "waiting", "nobody's"
    assert catalog.labeling_claims.mark_sent(HERE, "t", {"a-1": 7}, LATER) == 0
    found = catalog.labeling.by_task(HERE, [7, 8, 9, 10])
    assert {task: row.image_id for task, row in found.items()} == {7: "a-1", 8: "a-2"}
    assert catalog.labeling.by_task(THERE, [7]) == {}


def test_released_claim_makes_its_images_free(catalog: Catalog) -> None:
    wait(catalog, "a-1", "a-2", "a-3")
    claim(catalog, "one", 2)
    claim(catalog, "two", 1)
    assert catalog.labeling_claims.release(HERE, "one") == 2
    assert claim(catalog, "three") == ["a-1", "a-2"]


def test_claim_that_ran_out_is_taken_over_and_never_claimed(catalog: Catalog) -> None:
    wait(catalog, "a-1", "a-2")
    claim(catalog, "dead", 1)
    claims = catalog.labeling_claims
    assert claims.abandoned(HERE, NOW, 10) == []
    assert claims.take_over(HERE, ["a-1"], Claim("early", NOW, LATER)) == []
    again = LATER + timedelta(seconds=60)
    assert ids(claims.abandoned(HERE, LATER, 10)) == ["a-1"]
    assert ids(claims.claim(HERE, Claim("other", LATER, again), 10)) == ["a-2"]
    assert ids(claims.take_over(HERE, ["a-1", "a-2"], Claim("heir", LATER, again))) == ["a-1"]
    assert claims.take_over(HERE, ["a-1"], Claim("late", LATER, again)) == []
    assert claims.mark_sent(HERE, "dead", {"a-1": 7}, LATER) == 0
    assert claims.mark_sent(HERE, "heir", {"a-1": 7}, LATER) == 1


def test_quota_counts_what_is_sent_and_what_is_being_sent(catalog: Catalog) -> None:
    send(catalog, "a-0")
    wait(catalog, "a-1", "a-2", "a-3", "a-4")
    wait(catalog, "b-1", "b-2", source="b")
    wait(catalog, "a-5", day="2026-11-22")
    assert claim(catalog, "one", 2, quota=3) == ["a-1", "a-5"]
    assert claim(catalog, "two", 100, quota=3) == ["b-1", "a-2", "b-2"]
    assert claim(catalog, "three", 100, quota=3) == []
    assert catalog.labeling_claims.release(HERE, "two") == 3
    assert claim(catalog, "three", 100, quota=3) == ["b-1", "a-2", "b-2"]
    assert claim(catalog, "four", 100, quota=4) == ["a-3"], "the quota was raised"
    assert catalog.labeling.count_by_state(HERE) == {"sent": 1, "waiting": 7}


def test_rank_decides_who_is_within_the_quota(catalog: Catalog) -> None:
    for image, rank in (("a-1", 0.9), ("a-2", 0.1), ("a-3", 0.5)):
        catalog.labeling.consider(HERE, about(image, rank), NOW)
    assert claim(catalog, quota=2) == ["a-2", "a-3"]


def test_what_a_person_asked_for_goes_first_and_beyond_the_quota(catalog: Catalog) -> None:
    wait(catalog, "a-1", "a-2", "a-3")
    asked = [about("a-2", 5), about("a-8", 6), about("a-9", 7), about("a-9", 7)]
    assert catalog.labeling.ask(HERE, asked, NOW) == 3
    assert claim(catalog, "one", 4, quota=1) == ["a-2", "a-8", "a-9", "a-1"]
    assert claim(catalog, "two", 4, quota=1) == []


def test_asking_brings_back_what_was_left_out_failed_or_is_gone(catalog: Catalog) -> None:
    send(catalog, "a-sent", "a-gone")
    assert catalog.labeling.mark_gone(HERE, [12, 13], NOW) == 1
    catalog.labeling.consider(HERE, about("a-out", state=TaskState.LEFT_OUT), NOW)
    catalog.labeling.consider(HERE, about("a-failed"), NOW)
    assert claim(catalog) == ["a-failed"]
    assert catalog.labeling_claims.mark_failed(HERE, "t", "a-failed", "its image is gone", NOW)
    asked = [about(f"a-{what}", reason="by hand") for what in ("sent", "gone", "out", "failed")]
    assert catalog.labeling.ask(HERE, asked, LATER) == 3
    looked_for = catalog.labeling_claims.abandoned(HERE, LATER, 9)
    assert [row.image_id for row in looked_for] == ["a-gone"], "it may be there again"
    assert sorted(claim(catalog)) == ["a-failed", "a-out"]
    gone = row_of(catalog, "a-gone")
    assert (gone.task_id, gone.reason, gone.updated_at) == (None, "by hand", LATER)
    assert row_of(catalog, "a-sent").reason == "all"
    assert catalog.labeling.ask(HERE, asked, NOW) == 3, "asked for twice"
    assert claim(catalog, "other") == [], "who sends them goes on"


def test_asking_for_many_at_once_is_taken(catalog: Catalog) -> None:
    many = [about(f"a-{n:04}", n) for n in range(1201)]
    assert catalog.labeling.ask(HERE, many, NOW) == 1201
    assert len(claim(catalog, limit=1100)) == 1100
    tasks = {one.image_id: n + 1 for n, one in enumerate(many)}
    assert catalog.labeling_claims.mark_sent(HERE, "t", tasks, NOW) == 1100
    sent = list(catalog.labeling.sent_ids(HERE))
    assert sent == [(n + 1, f"a-{n:04}") for n in range(1100)]
    assert len(catalog.labeling.by_task(HERE, [task for task, _ in sent])) == 1100
    assert catalog.labeling.mark_gone(HERE, [task for task, _ in sent], NOW) == 1100
    assert list(catalog.labeling.sent_ids(HERE)) == []


def test_failed_image_says_why_and_what_was_sent_does_not_fail(catalog: Catalog) -> None:
    send(catalog, "a-1")
    wait(catalog, "a-2")
    claim(catalog, "t")
    assert not catalog.labeling_claims.mark_failed(HERE, "dead", "a-2", "another's", NOW)
    assert catalog.labeling_claims.mark_failed(HERE, "t", "a-2", "its image is gone", NOW)
    assert catalog.labeling.failed(HERE) == ["a-2"]
    assert not catalog.labeling_claims.mark_failed(HERE, "t", "a-1", "its image is gone", NOW)
    assert catalog.labeling.count_by_state(HERE) == {"failed": 1, "sent": 1}
    assert catalog.labeling.reasons(HERE, TaskState.FAILED) == {"its image is gone": 1}
    assert catalog.labeling_claims.abandoned(HERE, LATER + timedelta(days=1), 10) == []


def test_gone_task_still_tells_its_image(catalog: Catalog) -> None:
    send(catalog, "a-1", "a-2")
    assert catalog.labeling.mark_gone(HERE, [11], LATER) == 1
    assert catalog.labeling.mark_gone(HERE, [11], LATER) == 0
    assert catalog.labeling.by_task(HERE, [11])[11].image_id == "a-1"
    assert list(catalog.labeling.sent_ids(HERE)) == [(12, "a-2")]


def test_task_found_over_there_is_adopted_by_an_image_without_one(catalog: Catalog) -> None:
    labeling = catalog.labeling
    assert labeling.adopt(HERE, about("a-1"), 11, NOW)
    assert not labeling.adopt(HERE, about("a-1"), 12, NOW), "it was imported twice"
    assert not labeling.adopt(HERE, about("a-1"), 11, NOW)
    row = row_of(catalog, "a-1")
    assert (row.state, row.task_id, row.source, row.day) == ("sent", 11, "a", DAY)
    wait(catalog, "a-2")
    claim(catalog, "t")
    assert labeling.adopt(HERE, about("a-2"), 12, NOW)
    assert catalog.labeling_claims.mark_sent(HERE, "t", {"a-2": 13}, NOW) == 0
    assert list(labeling.sent_ids(HERE)) == [(11, "a-1"), (12, "a-2")]


def test_numbers_given_again_are_the_new_tasks(catalog: Catalog) -> None:
    """A Label Studio was lost, and set up anew at the same address."""
    send(catalog, "a-1", "a-2")
    wait(catalog, "a-3")
    claim(catalog, "t")
    assert catalog.labeling_claims.mark_sent(HERE, "t", {"a-3": 11}, NOW) == 1
    assert catalog.labeling.adopt(HERE, about("a-4"), 12, NOW)
    assert list(catalog.labeling.sent_ids(HERE)) == [(11, "a-3"), (12, "a-4")]
    assert [row_of(catalog, image).state for image in ("a-1", "a-2")] == ["gone", "gone"]


def test_detected_image_without_a_row_is_found(catalog: Catalog) -> None:
    for number, image in enumerate(("a-3", "a-1", "a-2", "a-4")):
        at = NOW + timedelta(seconds=number)
        catalog.images.begin(NewImage(image, "a", image, at), at)
        catalog.images.mark_stored(image, LOOK, at, at)
        if image != "a-4":
            catalog.images.mark_detected(image, Found(at, 0, 0))
    assert catalog.labeling.unconsidered(HERE, 10) == ["a-3", "a-1", "a-2"]
    catalog.labeling.consider(HERE, about("a-1", state=TaskState.LEFT_OUT), NOW)
    catalog.labeling.consider(THERE, about("a-3"), NOW)
    assert catalog.labeling.unconsidered(HERE, 10) == ["a-3", "a-2"]
    assert catalog.labeling.unconsidered(HERE, 1) == ["a-3"]


def test_erased_image_has_rows_where_its_tasks_are_to_be_deleted(catalog: Catalog) -> None:
    labeling = catalog.labeling
    send(catalog, "a-1", "a-2")
    labeling.consider(THERE, about("a-1"), NOW)
    assert labeling.erase_image("a-1", NOW) == 1
    assert labeling.erase_image("a-1", NOW) == 0
    assert [(row.project, row.state) for row in labeling.of_image("a-1")] == [(HERE, "erased")]
    assert (labeling.erased(HERE, 9), labeling.erased(THERE, 9)) == (["a-1"], [])
    assert list(labeling.sent_ids(HERE)) == [(12, "a-2")]
    assert labeling.with_row(["a-1", "a-2"]) == {"a-2"}
    assert labeling.drop_erased(HERE, ["a-1", "a-2"]) == 1
    assert labeling.get(HERE, "a-1") is None
    assert labeling.erased(HERE, 9) == []


def test_erased_image_is_neither_asked_for_nor_adopted_nor_gone(catalog: Catalog) -> None:
    labeling = catalog.labeling
    send(catalog, "a-1")
    labeling.erase_image("a-1", NOW)
    assert labeling.ask(HERE, [about("a-1")], NOW) == 0
    assert not labeling.adopt(HERE, about("a-1"), 99, NOW)
    assert labeling.mark_gone(HERE, [11], NOW) == 0
    assert labeling.adopt(HERE, about("a-2"), 11, NOW), "its number was given again"
    assert labeling.erased(HERE, 9) == ["a-1"]


def test_erased_image_may_be_there_as_a_copy_or_half_sent(catalog: Catalog) -> None:
    labeling, claims = catalog.labeling, catalog.labeling_claims
    wait(catalog, "a-1", "a-2", "a-3")
    assert claim(catalog, "t", 2) == ["a-1", "a-2"]
    assert labeling.erase_image("a-1", NOW) == 1
    assert claims.mark_sent(HERE, "t", {"a-1": 11}, NOW) == 0
    claims.release(HERE, "t")
    assert ids(claims.claim(HERE, Claim("u", NOW, LATER, uploads=True), 1)) == ["a-2"]
    claims.release(HERE, "u")
    assert [labeling.erase_image(image, NOW) for image in ("a-2", "a-3")] == [1, 0]
    assert labeling.erased(HERE, 9) == ["a-1", "a-2"]
    assert labeling.with_row(["a-1", "a-2", "a-3"]) == set()


def test_copy_is_known_until_a_task_shows_it(catalog: Catalog) -> None:
    claims = catalog.labeling_claims
    wait(catalog, "a-1", "a-2")
    assert len(claims.claim(HERE, Claim("t", NOW, LATER, uploads=True), 2)) == 2
    claims.note_copy(HERE, "a-1", "/data/1.jpg")
    claims.release(HERE, "t")
    again = claims.claim(HERE, Claim("u", NOW, LATER, uploads=True), 2)
    assert [row.copy_address for row in again] == ["/data/1.jpg", ""]
    assert claims.mark_sent(HERE, "u", {"a-1": 11, "a-2": 12}, NOW) == 2
    claims.note_copy(HERE, "a-2", "/data/late.jpg")
    assert [row_of(catalog, image).copy_address for image in ("a-1", "a-2")] == ["", ""]
    catalog.labeling.mark_gone(HERE, [11], NOW)
    assert catalog.labeling.ask(HERE, [about("a-1")], NOW) == 1
    (taken,) = claims.take_over(HERE, ["a-1"], Claim("v", NOW, LATER, uploads=True))
    assert taken.image_id == "a-1"
    assert row_of(catalog, "a-1").copy_address == "", "it is still there, and is to be deleted"


@pytest.mark.parametrize("quota", [None, 7])
def test_claims_of_many_threads_share_what_waits(catalog: Catalog, quota: int | None) -> None:
    wait(catalog, *(f"a-{n:02}" for n in range(20)))
    wait(catalog, *(f"b-{n:02}" for n in range(20)), source="b")
    with ThreadPoolExecutor(8) as pool:
        claims = list(pool.map(lambda n: claim(catalog, str(n), 3, quota), range(24)))
    claimed = [image for one in claims for image in one]
    assert len(claimed) == len(set(claimed)) == (40 if quota is None else 2 * quota)
