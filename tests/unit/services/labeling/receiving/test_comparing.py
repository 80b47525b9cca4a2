from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from pipeline import keys
from pipeline.annotations import CLASSES, Annotation
from pipeline.catalog.labeling.tasks import TaskState
from pipeline.labels.interface import write_interface
from pipeline.storage import put_json
from services.labeling.receiving import comparing
from services.labeling.receiving.following import follow
from services.labeling.receiving.interpretation import ImageFacts, interpret
from services.labeling.sets.choosing import choose
from services.labeling.studio.failures import ProjectMissing, StudioUnavailable
from services.labeling.studio.protocol import NewStudioTask
from tests.fake_studio import FakeStudio
from tests.round_trip import Killed, RoundTrip, box

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


def test_comparison_that_raises_anywhere_is_begun_again_by_the_same_process(
    trip: RoundTrip,
) -> None:
    trip.studio = FakeStudio(clock=lambda: trip.now)
    trip.restart()
    trip.push()
    survived, steps = False, 0
    while not survived:
        ended = trip.detect()
        trip.push()
        trip.studio.annotate(trip.task_of(ended), [box()])
        compare(trip)
        trip.studio.delete_task(trip.task_of(ended))
        found = trip.detect()
        new = NewStudioTask({"image": "a", "image_id": found}, annotations=[{"result": [box()]}])
        trip.studio.import_tasks(trip.project.id, [new])
        trip.wait(DUE_S * 4)
        trip.fate.steps_left = steps
        try:
            trip.push()
            survived = True
        except Killed:
            pass
        trip.fate.steps_left = None
        trip.wait(400)
        trip.push()
        assert len(trip.tasks_of(found)) == 1, "what is there was not known"
        compare(trip)
        assert (trip.row(ended).state, trip.row(found).state) == (TaskState.GONE, TaskState.SENT)
        assert trip.statuses(ended) == ["labelled", "deleted"]
        assert trip.statuses(found) == ["labelled"]
        steps += 1
    assert steps > 15


def test_task_found_that_nobody_foresaw_stops_none_of_the_others(
    trip: RoundTrip, monkeypatch: pytest.MonkeyPatch
) -> None:
    trip.push()
    images = [trip.detect() for _ in range(3)]
    for image in images:
        new = NewStudioTask({"image": "a", "image_id": image}, annotations=[{"result": [box()]}])
        trip.studio.import_tasks(trip.project.id, [new])

    def stumble(facts: ImageFacts, *rest: Any) -> Annotation:
        if facts.id == images[1]:
            raise KeyError("a mistake of ours")
        return interpret(facts, *rest)

    monkeypatch.setattr("services.labeling.receiving.recording.interpret", stumble)
    compare(trip)
    assert {trip.row(image).state for image in images} == {TaskState.SENT}
    assert [trip.statuses(image) for image in images] == [["labelled"], [], ["labelled"]]


def test_deletion_is_stored_beside_a_broken_revision(trip: RoundTrip) -> None:
    image = trip.detect()
    trip.push()
    trip.studio.annotate(trip.task_of(image), [box()])
    trip.follow()
    broken = keys.annotation(image, "29991231T000000000000Z-00000000")
    put_json(trip.workspace.store, broken, "{")
    trip.studio.delete_task(trip.task_of(image))
    compare(trip)
    trip.workspace.store.delete(broken)
    assert trip.row(image).state == TaskState.GONE
    assert trip.statuses(image) == ["labelled", "deleted"]


def test_task_that_is_there_again_brings_back_what_was_said_in_it(trip: RoundTrip) -> None:
    """As where a backup was restored over there."""
    trip.studio = FakeStudio(clock=lambda: trip.now)
    trip.restart()
    image, other = trip.detect(), trip.detect()
    trip.push()
    number = trip.task_of(image)
    trip.studio.annotate(number, [box()])
    compare(trip)
    trip.studio.annotate(trip.task_of(other), [box()])
    compare(trip)  # what was changed before that is read no more
    for _ in range(2):
        task = trip.studio.tasks.pop(number)
        compare(trip)
        assert trip.row(image).state == TaskState.GONE
        trip.studio.tasks[number] = task
        for _ in range(2):
            compare(trip)
        assert (trip.row(image).state, trip.row(image).task_id) == (TaskState.SENT, number)
    trip.restart()
    compare(trip)
    assert trip.statuses(image) == ["labelled", "deleted", "labelled", "deleted", "labelled"]
    assert choose(trip.revisions(image)).chosen is not None
    trip.ask(image)
    trip.push()
    assert trip.tasks_of(image) == [number]
    trip.studio.delete_annotation(next(iter(trip.studio.tasks[number].annotations)))
    trip.follow()
    assert trip.statuses(image)[-1] == "deleted"


def test_task_that_is_there_again_is_not_sent_a_second_time(trip: RoundTrip) -> None:
    """Asked for before the two sides are compared again."""
    image = trip.detect()
    trip.push()
    number = trip.task_of(image)
    task = trip.studio.tasks.pop(number)
    compare(trip)
    assert trip.row(image).state == TaskState.GONE
    trip.studio.tasks[number] = task
    trip.ask(image)
    trip.push()
    assert trip.tasks_of(image) == [number]
    assert (trip.row(image).state, trip.row(image).task_id) == (TaskState.SENT, number)


def test_second_task_of_an_image_that_is_there_again_brings_back_what_was_said_in_it(
    trip: RoundTrip,
) -> None:
    trip.studio = FakeStudio(clock=lambda: trip.now)
    trip.restart()
    image = trip.detect()
    trip.push()
    first = trip.task_of(image)
    copy = NewStudioTask({"image": "a", "image_id": image})
    [second] = trip.studio.import_tasks(trip.project.id, [copy])
    trip.studio.annotate(second, [box()])
    compare(trip)
    compare(trip)  # what was changed before is read no more
    task = trip.studio.tasks.pop(second)
    compare(trip)
    trip.studio.tasks[second] = task
    for _ in range(2):
        compare(trip)
    assert trip.statuses(image) == ["labelled", "deleted", "labelled"]
    assert trip.row(image).task_id == first


def test_return_killed_anywhere_is_stored_once(trip: RoundTrip) -> None:
    trip.studio = FakeStudio(clock=lambda: trip.now)
    trip.restart()
    survived, steps = False, 0
    while not survived:
        image = trip.detect()
        trip.push()
        number = trip.task_of(image)
        trip.studio.annotate(number, [box()])
        compare(trip)
        task = trip.studio.tasks.pop(number)
        compare(trip)
        trip.studio.tasks[number] = task
        trip.wait(DUE_S)
        survived = trip.survive(trip.follow, steps)
        compare(trip)
        assert trip.row(image).state == TaskState.SENT
        assert trip.statuses(image) == ["labelled", "deleted", "labelled"]
        [row] = trip.workspace.catalog.annotations.of_image(image)
        assert row.status == "labelled"
        steps += 1
    assert steps > 10


def annotate_many(trip: RoundTrip, number: int) -> list[str]:
    """The images, each labelled, and followed."""
    trip.studio = FakeStudio(clock=lambda: trip.now)
    trip.restart()
    images = [trip.detect() for _ in range(number)]
    trip.push()
    for image in images:
        trip.studio.annotate(trip.task_of(image), [box()])
    compare(trip)
    return images


def test_tasks_that_disappear_by_the_mass_are_not_taken_for_deleted(trip: RoundTrip) -> None:
    images = annotate_many(trip, 20)
    tasks = trip.studio.tasks.copy()
    for image in images[:11]:
        trip.studio.delete_task(trip.task_of(image))
    for _ in range(2):
        compare(trip)
        [note] = trip.notes
        assert note.startswith("11 of 20 labeling tasks are missing there")
        assert "traboule labels pull --accept-deletions" in note
    assert {trip.row(image).state for image in images} == {TaskState.SENT}
    assert {status for image in images for status in trip.statuses(image)} == {"labelled"}
    late = trip.detect()
    trip.push()
    assert len(trip.tasks_of(late)) == 1, "the others go on"
    trip.studio.tasks.update(tasks)
    compare(trip)
    assert trip.notes == []


def test_tasks_that_disappear_by_the_mass_are_deleted_where_a_person_says_so(
    trip: RoundTrip,
) -> None:
    images = annotate_many(trip, 20)
    trip.studio.act(trip.project.id, "delete_tasks", [trip.task_of(one) for one in images])
    compare(trip)
    with trip.context.connection.session() as connected:
        assert connected is not None
        comparing.compare_now(trip.context, connected, accept_deletions=True)
    assert trip.notes == []
    assert {trip.row(image).state for image in images} == {TaskState.GONE}
    assert [trip.statuses(image) for image in images] == [["labelled", "deleted"]] * 20


def test_few_tasks_may_all_be_deleted(trip: RoundTrip) -> None:
    images = annotate_many(trip, 10)
    trip.studio.act(trip.project.id, "delete_tasks", [trip.task_of(one) for one in images])
    compare(trip)
    assert {trip.row(image).state for image in images} == {TaskState.GONE}


def test_another_project_of_the_same_number_is_not_taken_for_ours(trip: RoundTrip) -> None:
    """A Label Studio set up anew, so fast that no request of ours failed meanwhile."""
    images = annotate_many(trip, 3)
    before, trip.studio = trip.project, FakeStudio(clock=lambda: trip.now)
    made = trip.studio.create_project("Traboule", before.interface)
    assert made.id == before.id
    stranger = NewStudioTask({"image": "a", "image_id": images[2]})
    [task] = trip.studio.import_tasks(made.id, [stranger])
    trip.studio.annotate(task, [])
    with trip.context.connection.session() as connected:
        assert connected is not None
        swapped = replace(connected, studio=trip.studio)
        for work in (follow, comparing.compare_when_due):
            trip.wait(DUE_S)
            with pytest.raises(ProjectMissing, match="another"):
                work(trip.context, swapped, math.inf)
    assert [trip.statuses(image) for image in images] == [["labelled"]] * 3


def test_project_that_has_another_title_now_is_noted(trip: RoundTrip) -> None:
    trip.push()
    trip.studio.rename_project(trip.project.id, "Our cars")
    compare(trip)
    [note] = trip.notes
    assert "'Our cars'" in note and "traboule labels connect" in note


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


def test_older_backup_put_back_over_there_loses_nothing_that_was_said(trip: RoundTrip) -> None:
    """Label Studio gives the numbers again that it gave since: of tasks and of annotations."""
    trip.studio = FakeStudio(clock=lambda: trip.now)
    trip.restart()
    for _ in range(20):
        trip.detect()
    trip.push()
    backup = copy.deepcopy(trip.studio.tasks)
    former = [trip.detect() for _ in range(3)]
    trip.push()
    numbers = [trip.task_of(image) for image in former]
    said = [trip.studio.annotate(number, [box()]) for number in numbers]
    compare(trip)
    before, trip.studio = trip.studio, FakeStudio(clock=lambda: trip.now)
    trip.studio.projects, trip.studio.tasks = before.projects, backup
    trip.studio._task_numbers = count(len(backup) + 1)
    trip.restart()
    images = [trip.detect() for _ in range(2)]
    trip.push()
    assert [trip.task_of(image) for image in images] == numbers[:2]
    assert [trip.studio.annotate(number, [box()]) for number in numbers[:2]] == said[:2]
    for _ in range(2):
        compare(trip)
        [note] = trip.notes
        assert note.startswith("3 of 25 labeling tasks are missing there, the numbers of 2 are of")
        assert [trip.statuses(image) for image in former + images] == [["labelled"]] * 5
        assert set(trip.workspace.catalog.annotations.images()) == {*former, *images}
    with trip.context.connection.session() as connected:
        assert connected is not None
        comparing.compare_now(trip.context, connected, accept_deletions=True)
    assert trip.notes == []
    assert [trip.statuses(image) for image in former] == [["labelled", "deleted"]] * 3
    assert [trip.statuses(image) for image in images] == [["labelled"]] * 2
    assert {trip.row(image).state for image in former} == {TaskState.GONE}
    assert {trip.row(image).state for image in images} == {TaskState.SENT}


def test_task_whose_number_was_given_to_another_image_is_that_ones(trip: RoundTrip) -> None:
    image = trip.detect()
    trip.push()
    number, other = trip.task_of(image), trip.detect()
    trip.studio.tasks[number].data["image_id"] = other
    compare(trip)
    assert (trip.row(other).state, trip.row(other).task_id) == (TaskState.SENT, number)
    assert (trip.row(image).state, trip.row(image).task_id) == (TaskState.GONE, None)
    compare(trip)
    assert trip.notes == []
