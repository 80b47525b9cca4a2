from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from pipeline import keys
from pipeline.annotations import Annotation
from pipeline.errors import StorageError
from services.labeling.receiving import cursor as reading
from services.labeling.receiving.cursor import OVERLAP
from services.labeling.receiving.interpretation import ImageFacts, interpret
from services.labeling.sets.choosing import choose
from services.labeling.studio.failures import StudioUnavailable
from services.labeling.studio.protocol import NewStudioTask, StudioTask
from tests.fake_studio import FakeStudio
from tests.round_trip import RoundTrip, box


def test_annotation_comes_back_with_its_history(trip: RoundTrip) -> None:
    image = trip.detect()
    trip.push()
    number = trip.studio.annotate(trip.task_of(image), [box()], lead_time=12.5)
    trip.follow()
    trip.studio.change_annotation(number, result=[box(), box("person", 50)])
    trip.follow()
    trip.studio.change_annotation(number, result=[])
    trip.follow()
    trip.studio.change_annotation(number, was_cancelled=True)
    trip.follow()
    trip.studio.delete_annotation(number)
    trip.follow()
    assert trip.statuses(image) == ["labelled", "labelled", "negative", "skipped", "deleted"]
    first, second, *_ = trip.revisions(image)
    assert first.lead_time_s == 12.5
    assert first.origin.project == trip.project.key
    assert [shape.label for shape in second.shapes] == ["car", "person"]
    assert trip.workspace.catalog.annotations.count_by_status() == {"deleted": 1}


def test_following_again_writes_nothing_new(trip: RoundTrip) -> None:
    image = trip.detect()
    trip.push()
    trip.studio.annotate(trip.task_of(image), [box()])
    for _ in range(5):
        trip.follow()
        trip.wait(15)
        trip.restart()
    assert trip.statuses(image) == ["labelled"]


def test_several_people_and_several_tasks_of_one_image_all_count(trip: RoundTrip) -> None:
    image = trip.detect()
    trip.push()
    by_hand = NewStudioTask({"image": "a", "image_id": image})
    [second] = trip.studio.import_tasks(trip.project.id, [by_hand])
    first = min(trip.tasks_of(image))
    for task, who in ((first, 1), (first, 2), (second, 3)):
        trip.studio.annotate(task, [box(x=10.0 * who)], completed_by=who)
    trip.follow()
    assert [one.origin.task for one in trip.revisions(image)] == [first, first, second]


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        ([{"foo": 1}], "unusable"),
        ([box() | {"value": {"x": float("nan"), "y": 1, "width": 5, "height": 5}}], "unusable"),
        ([box() | {"original_width": None}], "labelled"),
        ([box("tank")], "labelled"),
        ("a string", "unusable"),
        (None, "unusable"),
        ([{"value": {"choices": ["\udcff"]}, "type": "choices"}], "unusable"),
    ],
)
def test_bad_annotation_stops_none_of_the_others(trip: RoundTrip, raw: Any, status: str) -> None:
    """Each outcome in detail: test_interpretation."""
    images = [trip.detect() for _ in range(3)]
    trip.push()
    for image in images:
        trip.studio.annotate(trip.task_of(image), [box()])
    task = trip.studio.tasks[trip.task_of(images[1])]
    [annotation] = task.annotations.values()
    annotation["result"] = raw
    trip.follow()
    assert [trip.statuses(image) for image in images] == [["labelled"], [status], ["labelled"]]


def test_annotation_nobody_foresaw_stops_none_of_the_others(
    trip: RoundTrip, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = [trip.detect() for _ in range(3)]
    trip.push()
    for image in images:
        trip.studio.annotate(trip.task_of(image), [box()])

    def stumble(facts: ImageFacts, *rest: Any) -> Annotation:
        if facts.id == images[1]:
            raise KeyError("a mistake of ours")
        return interpret(facts, *rest)

    monkeypatch.setattr("services.labeling.receiving.recording.interpret", stumble)
    trip.follow()
    assert [trip.statuses(image) for image in images] == [["labelled"], [], ["labelled"]]


def test_task_that_is_not_ours_is_passed_over(trip: RoundTrip) -> None:
    image = trip.detect()
    trip.push()
    strange: list[dict[str, Any]] = [
        {"image": "a"},
        {"image": "a", "image_id": 7},
        {"image": "a", "image_id": "../../tombstones/x"},
        {"image": "a", "image_id": "nowhere-20261121T091640Z-8be14bda"},
    ]
    made = trip.studio.import_tasks(trip.project.id, [NewStudioTask(data) for data in strange])
    for task in (*made, trip.task_of(image)):
        trip.studio.annotate(task, [box()])
    trip.follow()
    listed = [entry.key for entry in trip.workspace.store.list(keys.ANNOTATIONS)]
    assert [keys.image_of(key) for key in listed] == [image]


def test_erased_image_takes_no_annotation(trip: RoundTrip) -> None:
    erased, other = trip.detect(), trip.detect()
    trip.push()
    for image in (erased, other):
        trip.studio.annotate(trip.task_of(image), [box()])
    trip.erase(erased)
    trip.follow()
    assert (trip.statuses(erased), trip.statuses(other)) == ([], ["labelled"])
    assert trip.workspace.catalog.annotations.of_image(erased) == []


def test_image_whose_detections_are_gone_is_still_annotated(trip: RoundTrip) -> None:
    image = trip.detect()
    trip.push()
    store, catalog = trip.workspace.store, trip.workspace.catalog
    store.delete(keys.detections(image))
    trip.studio.annotate(trip.task_of(image), [box()])
    row = catalog.images.get(image)
    assert row is not None and row.width is not None
    trip.follow()
    [annotation] = trip.revisions(image)
    assert (annotation.width, annotation.height) == (row.width, row.height)


def followed_to(trip: RoundTrip) -> datetime | None:
    row = trip.workspace.catalog.labeling_projects.get(trip.project.key)
    assert row is not None
    return row.followed_to


def test_mark_moves_only_past_what_is_stored(
    trip: RoundTrip, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = [trip.detect() for _ in range(3)]
    trip.push()
    for image in images:
        trip.studio.annotate(trip.task_of(image), [box()])
    put = type(trip.workspace.store).put

    def fail_for_the_second(store: Any, key: str, stored: Any) -> None:
        if keys.image_of(key) == images[1]:
            raise StorageError("full")
        put(store, key, stored)

    with monkeypatch.context() as full:
        full.setattr(type(trip.workspace.store), "put", fail_for_the_second)
        with pytest.raises(StorageError):
            trip.follow()
    assert followed_to(trip) is None
    trip.follow()
    assert [trip.statuses(image) for image in images] == [["labelled"]] * 3
    assert followed_to(trip) == max(task.updated_at for task in trip.studio.tasks.values())


def test_studio_that_breaks_off_is_gone_on_with(trip: RoundTrip) -> None:
    class Breaking(FakeStudio):
        lines = 2

        def list_changed(
            self, project_id: int, since: datetime | None, after: int = 0
        ) -> Iterator[StudioTask]:
            for number, task in enumerate(super().list_changed(project_id, since, after)):
                if number == self.lines:
                    raise StudioUnavailable("500: it answered a page of HTML")
                yield task

    trip.studio = studio = Breaking()
    trip.restart()
    images = [trip.detect() for _ in range(4)]
    trip.push()
    for image in images:
        studio.annotate(trip.task_of(image), [box()])
    trip.follow()
    assert [len(trip.statuses(image)) for image in images] == [1, 1, 0, 0]
    assert followed_to(trip) == studio.tasks[trip.task_of(images[1])].updated_at
    assert trip.reason == "500: it answered a page of HTML"
    studio.lines = 99
    trip.wait(10)
    trip.follow()
    assert [len(trip.statuses(image)) for image in images] == [1, 1, 1, 1]
    assert trip.reason == ""


def test_change_that_turns_up_late_is_still_seen(trip: RoundTrip) -> None:
    """Its transaction began first, and ended last."""
    early, late = trip.detect(), trip.detect()
    trip.push()
    trip.studio.annotate(trip.task_of(late), [box()])
    hidden = trip.studio.tasks.pop(trip.task_of(late))
    trip.studio.annotate(trip.task_of(early), [box()])
    trip.follow()
    trip.studio.tasks[hidden.id] = hidden
    trip.follow()
    assert (trip.statuses(early), trip.statuses(late)) == (["labelled"], ["labelled"])


def test_change_of_a_long_transaction_is_still_seen(trip: RoundTrip) -> None:
    """It takes a minute and a half, while somebody else goes on."""
    trip.studio = FakeStudio(clock=lambda: trip.now)
    trip.restart()
    slow, quick = trip.detect(), trip.detect()
    trip.push()
    for _ in range(10):
        trip.wait(15)
        trip.follow()
    commit = trip.studio.begin_annotation(trip.task_of(slow), [box()])
    for _ in range(6):
        trip.wait(15)
        trip.studio.annotate(trip.task_of(quick), [box()])
        trip.follow()
    commit()
    for _ in range(2):
        trip.wait(15)
        trip.follow()
    assert trip.statuses(slow) == ["labelled"]


def test_star_that_is_taken_away_is_noticed_though_the_time_stays(trip: RoundTrip) -> None:
    trip.studio = FakeStudio(clock=lambda: trip.now)
    trip.restart()
    for round in range(12):  # by their hashes half of them came out right
        image = trip.detect()
        trip.push()
        task = trip.task_of(image)
        first, second = (trip.studio.annotate(task, [box(x=x + round)]) for x in (10, 40))
        for starred in (first, second, first):
            trip.studio.change_annotation(starred, ground_truth=True)
            for _ in range(2):
                trip.wait(1)
                trip.follow()
            rows = trip.workspace.catalog.annotations.of_image(image)
            assert [row.annotation for row in rows if row.ground_truth] == [str(starred)]
            chosen = choose(trip.revisions(image)).chosen
            assert chosen is not None
            assert (chosen.origin.annotation, chosen.ground_truth) == (str(starred), True)
        assert len(trip.revisions(image)) == 6


def test_annotation_that_is_there_again_is_stored_again(trip: RoundTrip) -> None:
    """Whatever brought it back over there; its own time is the one it had."""
    image = trip.detect()
    trip.push()
    task = trip.studio.tasks[trip.task_of(image)]
    number = trip.studio.annotate(task.id, [box()])
    trip.follow()
    held = task.annotations[number]
    trip.studio.delete_annotation(number)
    trip.follow()
    task.annotations[number] = held
    other = trip.studio.annotate(task.id, [])
    for _ in range(3):
        trip.follow()
        trip.wait(15)
    shown = {
        row.annotation: row.status for row in trip.workspace.catalog.annotations.of_image(image)
    }
    assert shown == {str(number): "labelled", str(other): "negative"}
    assert sorted(trip.statuses(image)) == ["deleted", "labelled", "labelled", "negative"]


def test_another_image_under_a_tasks_number_ends_nothing(trip: RoundTrip) -> None:
    """As after an older database was put back over there, and others were imported since."""
    image, other = trip.detect(), trip.detect()
    trip.push()
    number = trip.task_of(image)
    trip.studio.annotate(number, [box()])
    trip.follow()
    trip.studio.tasks[number].data["image_id"] = other
    trip.studio.tasks[number].annotations.clear()
    trip.studio.annotate(number, [])
    trip.follow()
    assert (trip.statuses(image), trip.statuses(other)) == (["labelled"], ["negative"])


def test_what_is_settled_is_not_read_again_and_again(
    trip: RoundTrip, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(5):
        trip.detect()
    trip.push()
    asked: list[datetime | None] = []
    listed = FakeStudio.list_changed

    def note(
        studio: FakeStudio, project: int, since: datetime | None, after: int
    ) -> Iterator[StudioTask]:
        asked.append(since)
        return listed(studio, project, since, after)

    monkeypatch.setattr(FakeStudio, "list_changed", note)
    for _ in range(3):
        trip.follow()
        trip.wait(OVERLAP.total_seconds() + 1)
    newest = followed_to(trip)
    assert newest is not None
    assert asked == [None, newest - OVERLAP, newest]
    late = next(iter(trip.studio.tasks))
    trip.studio.annotate(late, [box()])
    trip.follow()
    trip.follow()
    assert asked[3:] == [newest, trip.studio.tasks[late].updated_at - OVERLAP]


def test_run_ends_in_time_and_the_next_goes_on(
    trip: RoundTrip, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = [trip.detect() for _ in range(3)]
    trip.push()
    for image in images:
        trip.studio.annotate(trip.task_of(image), [box()])
    trip.set(run_s=0.0)
    seen = []
    for _ in range(3):
        monkeypatch.setattr(reading, "OVERLAP", timedelta(0))
        trip.follow()
        seen.append(sum(len(trip.statuses(image)) for image in images))
    assert seen[0] == 1
    assert followed_to(trip) is not None


class Counting(FakeStudio):
    """How many tasks it handed out."""

    listed = 0

    def list_changed(
        self, project_id: int, since: datetime | None, after: int = 0
    ) -> Iterator[StudioTask]:
        for task in super().list_changed(project_id, since, after):
            self.listed += 1
            yield task


def change_at_once(trip: RoundTrip, images: Sequence[str]) -> datetime:
    """As a bulk action does: all get one time."""
    at = trip.now
    for image in images:
        number = trip.studio.annotate(trip.task_of(image), [box()])
        trip.studio.tasks[trip.task_of(image)].annotations[number]["updated_at"] = at.isoformat()
    for image in images:
        trip.studio.tasks[trip.task_of(image)].updated_at = at
    return at


def test_many_changed_at_one_time_are_read_over_many_runs(trip: RoundTrip) -> None:
    """More than a run has time for, within the seconds that are read again."""
    trip.studio = studio = Counting(clock=lambda: trip.now)
    trip.restart()
    images = [trip.detect() for _ in range(20)]
    trip.push()
    at = change_at_once(trip, images)
    trip.set(run_s=0.0)  # one labeling task each
    for runs in range(1, 21):
        trip.follow()
        assert [len(trip.statuses(image)) for image in images] == [1] * runs + [0] * (20 - runs)
    assert studio.listed == 20, "none was read twice, and none is held"
    trip.set(run_s=20.0)
    for _ in range(3):
        trip.wait(OVERLAP.total_seconds() + 1)
        trip.follow()
    assert followed_to(trip) == at
    before = studio.listed
    trip.wait(15)
    trip.follow()
    assert studio.listed == before, "once nothing can turn up late, it goes on behind them"


def test_run_that_fails_is_gone_on_with_where_it_stood(
    trip: RoundTrip, monkeypatch: pytest.MonkeyPatch
) -> None:
    trip.studio = studio = Counting(clock=lambda: trip.now)
    trip.restart()
    images = [trip.detect() for _ in range(6)]
    trip.push()
    change_at_once(trip, images)
    trip.set(run_s=0.0)
    trip.follow()
    studio.down = True
    trip.follow()
    assert trip.reason
    studio.down = False
    trip.wait(60)
    with monkeypatch.context() as full:
        full.setattr(type(trip.workspace.store), "put", _fail)
        with pytest.raises(StorageError):
            trip.follow()
    for _ in range(5):
        trip.follow()
    assert [trip.statuses(image) for image in images] == [["labelled"]] * 6
    assert studio.listed == 7, "one for each, and one for what was not stored"


def _fail(*_: object) -> None:
    raise StorageError("full")


def test_follower_killed_anywhere_stores_every_revision_once(trip: RoundTrip) -> None:
    trip.studio = FakeStudio(clock=lambda: trip.now)
    trip.restart()
    survived, steps = False, 0
    while not survived:
        trip.wait(60)  # what was changed in the last round is not read again
        image = trip.detect()
        trip.push()
        task = trip.task_of(image)
        kept, removed = (trip.studio.annotate(task, [box(x=x)]) for x in (10, 40))
        trip.follow()
        trip.studio.delete_annotation(removed)
        trip.studio.change_annotation(kept, result=[])
        survived = trip.survive(trip.follow, steps)
        trip.follow()
        assert sorted(trip.statuses(image)) == ["deleted", "labelled", "labelled", "negative"]
        rows = trip.workspace.catalog.annotations.of_image(image)
        shown = {row.annotation: row.status for row in rows}
        assert shown == {str(kept): "negative", str(removed): "deleted"}
        steps += 1
    assert steps > 15


def test_deletion_noticed_twice_by_a_process_killed_between_is_one_revision(
    trip: RoundTrip,
) -> None:
    """And another change in between, which moves the time of the task."""
    image = trip.detect()
    trip.push()
    number = trip.studio.annotate(trip.task_of(image), [box()])
    trip.follow()
    trip.studio.delete_annotation(number)
    steps = 0
    while "deleted" not in trip.statuses(image):
        assert not trip.survive(trip.follow, steps)
        steps += 1
    trip.studio.annotate(trip.task_of(image), [])
    trip.follow()
    assert sorted(trip.statuses(image)) == ["deleted", "labelled", "negative"]
