from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pipeline.annotations import AnnotationStatus
from pipeline.catalog import Catalog
from pipeline.catalog.engine import Transactions
from pipeline.catalog.labeling.claims import Claim
from pipeline.catalog.labeling.standing import count_held_back, count_labelled, list_erased
from pipeline.catalog.labeling.tasks import Considered
from tests.labels import Said, box, make_annotation

HERE, THERE = "http://127.0.0.1:8080#3", "http://127.0.0.1:8080#4"
NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)


@pytest.fixture
def transactions(catalog: Catalog) -> Transactions:
    return Transactions(catalog.engine)


def wait(catalog: Catalog, *images: str, day: str = "2026-11-21", project: str = HERE) -> None:
    for image in images:
        about = Considered(image, image.partition("-")[0], day)
        assert catalog.labeling.consider(project, about, NOW)


def send(catalog: Catalog, quota: int | None = None) -> None:
    """As many as may be."""
    claims, claim = catalog.labeling_claims, Claim("t", NOW, NOW + timedelta(minutes=1))
    held = claims.claim(HERE, claim, 100, quota)
    tasks = {row.image_id: 11 + number for number, row in enumerate(held)}
    assert claims.mark_sent(HERE, "t", tasks, NOW) == len(held)


def test_those_beyond_the_quota_of_their_source_and_day_are_held_back(
    catalog: Catalog, transactions: Transactions
) -> None:
    assert count_held_back(transactions, HERE, 2) == 0
    wait(catalog, "a-1", "a-2", "a-3", "a-4", "b-1")
    wait(catalog, "a-5", "a-6", "a-7", day="2026-11-22")
    wait(catalog, "c-1", "c-2", "c-3", project=THERE)
    told = [count_held_back(transactions, HERE, quota) for quota in (0, 2, 3, 4)]
    assert told == [8, 3, 1, 0]
    send(catalog, quota=2)
    assert catalog.labeling.count_by_state(HERE) == {"sent": 5, "waiting": 3}
    assert [count_held_back(transactions, HERE, quota) for quota in (0, 2, 3)] == [3, 3, 1]


def test_what_is_asked_for_or_being_sent_is_not_held_back(
    catalog: Catalog, transactions: Transactions
) -> None:
    wait(catalog, "a-1", "a-2")
    catalog.labeling.ask(HERE, [Considered("a-3", "a", "2026-11-21")], NOW)
    assert count_held_back(transactions, HERE, 1) == 1
    claim = Claim("t", NOW, NOW + timedelta(minutes=1))
    catalog.labeling_claims.claim(HERE, claim, 1)
    assert count_held_back(transactions, HERE, 1) == 2, "what is asked for is claimed first"


def test_erased_are_listed_by_project_with_their_tasks(
    catalog: Catalog, transactions: Transactions
) -> None:
    for project, task in ((THERE, 7), (HERE, 9)):
        catalog.labeling.adopt(project, Considered("a-1", "a", "2026-11-21"), task, NOW)
    catalog.labeling.adopt(HERE, Considered("a-2", "a", "2026-11-21"), 8, NOW)
    assert list_erased(transactions) == []
    for image in ("a-1", "a-2"):
        catalog.labeling.erase_image(image, NOW)
    everything = [(HERE, "a-2", 8), (HERE, "a-1", 9), (THERE, "a-1", 7)]
    assert list_erased(transactions) == everything
    assert list_erased(transactions, "a-1") == everything[1:]


def test_image_is_labelled_where_one_annotation_can_be_used(
    catalog: Catalog, transactions: Transactions
) -> None:
    unknown, known = box("ufo", 10, 10, 60, 60), box("car", 10, 10, 60, 60)
    said = {
        "a-1": (Said([known], number=1), Said([unknown], number=2)),
        "a-2": (Said([unknown], number=3),),
        "a-3": (Said(status=AnnotationStatus.NEGATIVE, number=4),),
        "a-4": (Said(status=AnnotationStatus.SKIPPED, number=5),),
        "a-5": (Said([known, unknown], number=6),),
    }
    for image, spoken in said.items():
        for one in spoken:
            catalog.annotations.record(make_annotation(image, one))
    found = count_labelled(transactions, ("car", "bus"))
    assert (found.usable, found.unusable) == (3, 1)
