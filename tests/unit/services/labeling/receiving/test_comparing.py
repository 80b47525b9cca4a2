from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pytest

from pipeline import keys
from pipeline.annotations import CLASSES
from pipeline.catalog.labeling.tasks import TaskState
from pipeline.labels.interface import write_interface
from services.labeling.receiving import comparing
from services.labeling.studio.failures import StudioUnavailable
from services.labeling.studio.protocol import NewStudioTask
from tests.fake_studio import FakeStudio
from tests.round_trip import RoundTrip, box

DUE_S = 601


def compare(trip: RoundTrip) -> None:
    trip.wait(DUE_S)
    trip.follow()


def test_task_deleted_by_hand_is_gone_with_what_was_said_in_it(trip: RoundTrip) -> None:
    image, other = trip.detect(), trip.detect()
    trip.push()
    for one in (image, other):
        trip.studio.annotate(trip.task_of(one), [box()])
    trip.follow()
    trip.studio.delete_task(trip.task_of(image))
    compare(trip)
    assert trip.row(image).state == TaskState.GONE
    assert trip.statuses(image) == ["labelled", "deleted"]
    assert trip.row(other).state == TaskState.SENT
    assert trip.statuses(other) == ["labelled"]
    trip.push()
    assert trip.tasks_of(image) == [], "a person deleted it"
    trip.ask(image)
    trip.push()
    assert len(trip.tasks_of(image)) == 1, "and a person wants it again"


def test_comparison_killed_anywhere_stores_every_deletion_once(trip: RoundTrip) -> None:
    trip.studio = FakeStudio(clock=lambda: trip.now)
    trip.restart()
    survived, steps = False, 0
    while not survived:
        image = trip.detect()
        trip.push()
        trip.studio.annotate(trip.task_of(image), [box()])
        compare(trip)
        trip.studio.delete_task(trip.task_of(image))
        trip.wait(DUE_S)
        survived = trip.survive(trip.follow, steps)
        compare(trip)
        assert trip.row(image).state == TaskState.GONE
        assert trip.statuses(image) == ["labelled", "deleted"]
        steps += 1
    assert steps > 15


def test_task_of_our_image_that_we_have_no_row_for_is_adopted(trip: RoundTrip) -> None:
    """As after the catalog was lost, or where somebody imported our tasks again."""
    trip.push()
    image = trip.detect()
    new = NewStudioTask({"image": "a", "image_id": image}, annotations=[{"result": [box()]}])
    [task] = trip.studio.import_tasks(trip.project.id, [new])
    compare(trip)
    assert (trip.row(image).state, trip.row(image).task_id) == (TaskState.SENT, task)
    assert trip.statuses(image) == ["labelled"]
    trip.consider(image)
    trip.push()
    assert trip.tasks_of(image) == [task]


def test_task_that_names_an_image_that_nobody_knows_is_not_ours(trip: RoundTrip) -> None:
    trip.push()
    ghost = "ghost-20261121T091640Z-deadbeef"
    new = NewStudioTask({"image": "a", "image_id": ghost}, annotations=[{"result": [box()]}])
    trip.studio.import_tasks(trip.project.id, [new])
    for _ in range(2):
        compare(trip)
        assert trip.notes == ["1 labeling tasks were not made by Traboule: passed over"]
    assert trip.workspace.catalog.labeling.get(trip.project.key, ghost) is None
    assert trip.statuses(ghost) == []


def test_task_of_an_image_that_is_known_by_a_part_of_it_is_adopted(trip: RoundTrip) -> None:
    in_catalog, in_store = trip.detect(), trip.detect()
    for key in keys.every_object(in_catalog):
        trip.workspace.store.delete(key)
    trip.workspace.catalog.images.remove(in_store)
    trip.workspace.store.delete(keys.detections(in_store))
    # Both are named by tasks whose rows were lost.
    trip.push()
    new = [NewStudioTask({"image": "a", "image_id": one}) for one in (in_catalog, in_store)]
    trip.studio.import_tasks(trip.project.id, new)
    compare(trip)
    assert {trip.row(one).state for one in (in_catalog, in_store)} == {TaskState.SENT}
    assert trip.notes == []


def test_tasks_doubled_and_made_by_others_are_noted(trip: RoundTrip) -> None:
    image = trip.detect()
    trip.push()
    new = [NewStudioTask({"image": "a", "image_id": image}), NewStudioTask({"image": "b"})]
    trip.studio.import_tasks(trip.project.id, new)
    compare(trip)
    first, second = trip.tasks_of(image)
    assert trip.row(image).task_id == first
    assert trip.notes == [
        "1 labeling tasks were not made by Traboule: passed over",
        f"1 images have several labeling tasks, which all count: {image} ({first}, {second})",
    ]
    trip.studio.delete_task(first)
    compare(trip)
    assert trip.row(image).task_id == second, "the one that is left"


def test_foreign_task_of_an_erased_image_is_left_and_noted(trip: RoundTrip) -> None:
    trip.push()
    image = trip.detect()
    trip.erase(image)
    new = NewStudioTask({"image": "a", "image_id": image})
    [task] = trip.studio.import_tasks(trip.project.id, [new])
    compare(trip)
    assert trip.workspace.catalog.labeling.get(trip.project.key, image) is None
    assert trip.notes == [
        f"1 labeling tasks of erased images were not made by Traboule, delete them there: {task}"
    ]
    assert task in trip.studio.tasks


def test_task_of_an_erased_image_that_we_have_no_row_for_is_deleted(trip: RoundTrip) -> None:
    """It was sent while its image was being erased, or the catalog was lost since."""
    image, other = trip.detect(), trip.detect()
    trip.push()
    trip.erase(image)
    trip.workspace.catalog.labeling.erase_image(image, trip.now)
    trip.workspace.catalog.labeling.drop_erased(trip.project.key, [image])
    trip.follow()
    assert len(trip.tasks_of(image)) == 1, "it takes a comparison"
    compare(trip)
    assert (trip.tasks_of(image), len(trip.tasks_of(other))) == ([], 1)
    assert trip.notes == []


def test_duplicate_deleted_by_hand_is_gone_with_what_was_said_in_it(trip: RoundTrip) -> None:
    image = trip.detect()
    trip.push()
    first = trip.task_of(image)
    copy = NewStudioTask({"image": "a", "image_id": image})
    [second] = trip.studio.import_tasks(trip.project.id, [copy])
    trip.studio.annotate(second, [box()])
    compare(trip)
    assert trip.statuses(image) == ["labelled"]
    trip.studio.delete_task(second)
    compare(trip)
    assert trip.statuses(image) == ["labelled", "deleted"]
    assert (trip.row(image).state, trip.row(image).task_id) == (TaskState.SENT, first)


@pytest.mark.parametrize(
    ("classes", "note"),
    [
        (CLASSES[1:], "the class 'person' was removed"),
        (("human", *CLASSES[1:]), "the class 'person' was renamed 'human'"),
    ],
)
def test_interface_edited_by_hand_is_noted_and_left_alone(
    trip: RoundTrip, classes: Sequence[str], note: str
) -> None:
    trip.push()
    edited = write_interface(classes)
    trip.studio.change_interface(trip.project.id, edited)
    compare(trip)
    assert any(note in one for one in trip.notes)
    trip.push()
    assert trip.project.interface == edited
    trip.studio.change_interface(trip.project.id, write_interface(CLASSES))
    compare(trip)
    assert trip.notes == []


def test_comparison_is_made_when_it_is_due(trip: RoundTrip) -> None:
    trip.push()
    for _ in range(10):
        trip.follow()
        trip.wait(15)
    assert trip.studio.requests["list_task_ids"] == 1
    compare(trip)
    assert trip.studio.requests["list_task_ids"] == 2


def test_comparison_without_time_goes_on_in_the_next_run(
    trip: RoundTrip, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparing, "AT_ONCE", 2)
    images = [trip.detect() for _ in range(7)]
    trip.push()
    trip.studio.delete_task(trip.task_of(images[3]))
    trip.set(run_s=-1.0)
    trip.wait(DUE_S)
    before, runs = trip.studio.requests["list_task_ids"], 0
    while trip.row(images[3]).state != TaskState.GONE:
        trip.follow()
        runs += 1
        assert runs < 10
    assert runs > 2
    assert trip.studio.requests["list_task_ids"] == before + 1


def test_task_missing_from_a_shifted_page_is_not_taken_for_deleted(trip: RoundTrip) -> None:
    class Shifted(FakeStudio):
        def list_task_ids(self, project_id: int) -> Iterator[tuple[int, str | None]]:
            yield from list(super().list_task_ids(project_id))[1:]

    trip.studio = Shifted()
    trip.restart()
    image, _ = trip.detect(), trip.detect()
    trip.push()
    trip.studio.annotate(trip.task_of(image), [box()])
    trip.follow()
    assert trip.row(image).state == TaskState.SENT
    assert trip.statuses(image) == ["labelled"]


def test_task_sent_during_the_comparison_is_not_taken_for_deleted(trip: RoundTrip) -> None:
    class Busy(FakeStudio):
        late: str | None = None

        def list_task_ids(self, project_id: int) -> Iterator[tuple[int, str | None]]:
            yield from list(super().list_task_ids(project_id))
            if self.tasks and self.late is None:
                self.late = trip.detect()
                trip.ask(self.late)
                trip.push()

    trip.studio = studio = Busy()
    trip.restart()
    trip.detect()
    trip.push()
    compare(trip)
    assert studio.late is not None
    assert trip.row(studio.late).state == TaskState.SENT


def test_listing_that_is_cut_off_marks_nothing(trip: RoundTrip) -> None:
    class Cut(FakeStudio):
        cut = False

        def list_task_ids(self, project_id: int) -> Iterator[tuple[int, str | None]]:
            if self.cut:
                raise StudioUnavailable("502: bad gateway")
            yield from super().list_task_ids(project_id)

        def find_tasks(
            self, project_id: int, image_ids: Sequence[str]
        ) -> Mapping[str, Sequence[int]]:
            assert not self.cut
            return super().find_tasks(project_id, image_ids)

    trip.studio = studio = Cut()
    trip.restart()
    image = trip.detect()
    trip.push()
    studio.cut = True
    compare(trip)
    assert trip.row(image).state == TaskState.SENT
    assert trip.reason == "502: bad gateway"
    studio.cut = False
    compare(trip)
    assert (trip.row(image).state, trip.reason) == (TaskState.SENT, "")
