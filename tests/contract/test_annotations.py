from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.annotations import AnnotationStatus
from pipeline.catalog import Catalog
from tests.revisions import HERE, NOW, THERE, revise


def test_annotation_has_the_row_of_its_newest_revision(catalog: Catalog) -> None:
    first = revise(problems=("a shape of no size",))
    assert catalog.annotations.record(first)
    row = catalog.annotations.get(HERE, "5", "a-1")
    assert row is not None
    assert (row.image_id, row.task_id, row.revision) == ("a-1", 11, first.revision)
    assert (row.status, row.author, row.ground_truth) == ("labelled", "ann@example.com", False)
    assert (row.labels, row.problems) == ({"car": 2, "bus": 1}, ["a shape of no size"])
    assert row.updated_at == NOW
    assert catalog.annotations.record(
        revise(at_s=1, status="negative", shapes=(), ground_truth=True, author="bob@example.com")
    )
    row = catalog.annotations.get(HERE, "5", "a-1")
    assert row is not None
    assert (row.status, row.author, row.ground_truth) == ("negative", "bob@example.com", True)
    assert (row.labels, row.problems) == ({}, [])


def test_revision_that_is_not_newer_changes_nothing(catalog: Catalog) -> None:
    shown = revise(at_s=5.25, revision="20261121T090005250000Z-bb")
    assert catalog.annotations.record(shown)
    assert not catalog.annotations.record(shown)
    assert not catalog.annotations.record(revise(at_s=5.249999, revision="z"))
    assert not catalog.annotations.record(revise(at_s=5.25, revision="20261121T090005250000Z-aa"))
    row = catalog.annotations.get(HERE, "5", "a-1")
    assert row is not None
    assert row.revision == shown.revision
    assert catalog.annotations.record(revise(at_s=5.25, revision="20261121T090005250000Z-cc"))
    assert catalog.annotations.record(revise(at_s=5.250001, revision="20261121T09000525Z-aa"))


def test_annotations_are_found_by_task_and_by_image(catalog: Catalog) -> None:
    for one in (
        revise("5", at_s=2),
        revise("6", at_s=1),
        revise("7", image="a-2", task=12),
        revise("5", project=THERE),
        revise("a file", project="import", task=None),
    ):
        assert catalog.annotations.record(one)
    assert [row.annotation for row in catalog.annotations.of_task(HERE, 11)] == ["6", "5"]
    found = [(row.project, row.annotation) for row in catalog.annotations.of_image("a-1")]
    assert found == [(THERE, "5"), ("import", "a file"), (HERE, "6"), (HERE, "5")]
    assert catalog.annotations.get(THERE, "6", "a-1") is None


def test_tasks_are_those_with_an_annotation_that_is_not_deleted(catalog: Catalog) -> None:
    for one in (
        revise("5"),
        revise("6"),
        revise("7", image="a-2", task=12, status="skipped", shapes=()),
        revise("8", image="a-3", task=13, status="deleted"),
        revise("9", image="a-4", task=14, project=THERE),
        revise("a file", project=HERE, task=None),
    ):
        assert catalog.annotations.record(one)
    assert list(catalog.annotations.tasks(HERE)) == [(11, "a-1"), (12, "a-2")]


def test_annotations_are_counted_by_status(catalog: Catalog) -> None:
    statuses = ("labelled", "labelled", "negative", "skipped")
    for number, status in enumerate(statuses):
        catalog.annotations.record(revise(str(number), status=status))
    catalog.annotations.record(revise("0", project=THERE, status="deleted"))
    assert catalog.annotations.count_by_status(HERE) == {"labelled": 2, "negative": 1, "skipped": 1}
    assert catalog.annotations.count_by_status()["deleted"] == 1
    assert catalog.annotations.count_by_status("nowhere") == {}


def test_images_are_listed_once_in_order_over_all_pages(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.catalog.annotations._PAGE", 2)
    for number in range(7):
        status = "skipped" if number == 3 else "labelled"
        catalog.annotations.record(revise(f"1{number}", image=f"a-{number}", status=status))
        catalog.annotations.record(revise(f"2{number}", image=f"a-{number}", status=status))
    catalog.annotations.record(revise("1", image="b-1", project=THERE))
    labelled = (AnnotationStatus.LABELLED,)
    here = [f"a-{number}" for number in range(7) if number != 3]
    assert list(catalog.annotations.images(HERE, labelled)) == here
    assert list(catalog.annotations.images(None, labelled)) == [*here, "b-1"]
    assert len(list(catalog.annotations.images())) == 8
    assert list(catalog.annotations.images(HERE, ())) == []
    revisions = list(catalog.annotations.revisions())
    assert len(revisions) == 15
    assert {("a-3", revise(number).revision) for number in ("13", "23")} < set(revisions)


def test_forgotten_image_has_no_annotation(catalog: Catalog) -> None:
    catalog.annotations.record(revise("5"))
    catalog.annotations.record(revise("5", project=THERE))
    catalog.annotations.record(revise("6", image="a-2"))
    assert catalog.annotations.forget_image("a-1") == 2
    assert catalog.annotations.forget_image("a-1") == 0
    assert list(catalog.annotations.images()) == ["a-2"]


def test_newest_revision_wins_whoever_writes_last(catalog: Catalog) -> None:
    revisions = [revise(at_s=n) for n in (3, 9, 1, 7, 0, 8, 2, 5)] * 3
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(catalog.annotations.record, revisions))
    row = catalog.annotations.get(HERE, "5", "a-1")
    assert row is not None
    assert row.revision == revise(at_s=9).revision
    newest = [new for new, one in zip(told, revisions, strict=True) if one == revise(at_s=9)]
    assert newest.count(True) == 1


def test_number_that_is_given_again_leaves_the_row_of_the_other_image(catalog: Catalog) -> None:
    """As where a Label Studio was put back from an older backup."""
    assert catalog.annotations.record(revise(at_s=1))
    assert catalog.annotations.record(revise(image="a-2", at_s=2))
    assert catalog.annotations.record(revise(image="a-2", at_s=4, status="skipped"))
    assert not catalog.annotations.record(revise(image="a-2", at_s=3))
    assert catalog.annotations.record(revise(at_s=2, status="negative"))
    rows = catalog.annotations.of_task(HERE, 11)
    shown = [(row.image_id, row.annotation, row.status) for row in rows]
    assert shown == [("a-1", "5", "negative"), ("a-2", "5", "skipped")]
    catalog.annotations.forget_image("a-1")
    assert catalog.annotations.record(revise(image="a-2", at_s=5))
    [row] = catalog.annotations.of_task(HERE, 11)
    assert (row.image_id, row.status) == ("a-2", "labelled")


def test_tasks_are_told_with_each_of_their_images_over_all_pages(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.catalog.annotations._PAGE", 2)
    told = [(11, "a-1"), (12, "a-1"), (12, "a-2"), (12, "a-3"), (13, "a-0")]
    for number, (task, image) in enumerate(told):
        catalog.annotations.record(revise(f"{number}", task=task, image=image))
        catalog.annotations.record(revise(f"1{number}", task=task, image=image))
    assert list(catalog.annotations.tasks(HERE)) == told
