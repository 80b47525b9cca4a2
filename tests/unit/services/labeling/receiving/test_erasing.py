from __future__ import annotations

import math
import time
from collections.abc import Sequence

import pytest

from pipeline.catalog.labeling.tasks import TaskState
from services.labeling.receiving.erasing import NOT_ERASED, delete_erased
from services.labeling.sending.composing import DATA_KEYS, compose_task, is_ours
from services.labeling.settings import ImageAccess
from services.labeling.studio.deadlines import GRACE_S, find_left_s
from services.labeling.studio.failures import StudioUnavailable
from services.labeling.studio.protocol import NewStudioTask
from tests.fake_studio import FakeStudio
from tests.round_trip import RoundTrip, box


def test_task_of_an_erased_image_is_deleted_at_once(trip: RoundTrip) -> None:
    image, other = trip.detect(), trip.detect()
    trip.push()
    for one in (image, other):
        trip.studio.annotate(trip.task_of(one), [box()])
    trip.delete(image)
    trip.follow()
    assert trip.tasks_of(image) == []
    assert len(trip.tasks_of(other)) == 1
    assert trip.workspace.catalog.labeling.of_image(image) == []
    assert trip.statuses(image) == []
    assert trip.statuses(other) == ["labelled"]


def test_copy_of_an_erased_image_is_deleted(trip: RoundTrip) -> None:
    trip.set(images=ImageAccess.UPLOAD)
    image, by_hand, other = trip.detect(), trip.detect(), trip.detect()
    trip.push()
    trip.studio.delete_task(trip.task_of(by_hand))
    trip.wait(601)
    trip.follow()
    assert trip.row(by_hand).state == TaskState.GONE
    assert len(trip.studio.uploads) == 3
    for one in (image, by_hand):
        trip.delete(one)
    trip.follow()
    [left] = trip.studio.uploads
    assert left.endswith(f"-{other}.jpg")
    assert trip.workspace.catalog.labeling.erased(trip.project.key, 9) == []


def test_tasks_that_a_person_made_of_an_erased_image_stay(trip: RoundTrip) -> None:
    image = trip.detect()
    trip.push()
    [task] = trip.tasks_of(image)
    theirs = NewStudioTask({"image": "https://their.test/own.jpg", "image_id": image})
    again = NewStudioTask(dict(trip.studio.tasks[task].data))
    foreign, _ = trip.studio.import_tasks(trip.project.id, [theirs, again])
    trip.delete(image)
    trip.follow()
    assert trip.tasks_of(image) == [foreign]
    assert trip.workspace.catalog.labeling.of_image(image) == []


def test_row_that_names_a_task_of_another_image_deletes_nothing(trip: RoundTrip) -> None:
    """A Label Studio set up anew gives the same numbers again."""
    image = trip.detect()
    trip.push()
    number = trip.task_of(image)
    trip.studio.tasks[number].data = {"image": "https://their.test/own.jpg"}
    trip.delete(image)
    trip.follow()
    assert number in trip.studio.tasks
    assert trip.workspace.catalog.labeling.of_image(image) == []


def test_erased_images_wait_for_a_label_studio_that_is_away(trip: RoundTrip) -> None:
    image = trip.detect()
    trip.push()
    trip.delete(image)
    trip.studio.down = True
    trip.follow()
    assert trip.row(image).state == TaskState.ERASED
    trip.studio.down = False
    trip.wait(60)
    trip.follow()
    assert trip.tasks_of(image) == []


def test_deleting_killed_anywhere_leaves_nothing(trip: RoundTrip) -> None:
    trip.studio = FakeStudio(clock=lambda: trip.now)
    trip.set(images=ImageAccess.UPLOAD)
    survived, steps = False, 0
    while not survived:
        image = trip.detect()
        trip.push()
        trip.delete(image)
        survived = trip.survive(trip.follow, steps)
        trip.follow()
        assert trip.tasks_of(image) == []
        assert trip.studio.uploads == {}
        assert trip.workspace.catalog.labeling.of_image(image) == []
        steps += 1
    assert steps > 8


def test_task_that_is_ours_says_so(trip: RoundTrip) -> None:
    image = trip.detect()
    trip.push()
    with trip.context.connection.session() as connected:
        assert connected is not None
        data = dict(compose_task(trip.context, connected, image).data)
    assert is_ours(data)
    assert data.keys() == DATA_KEYS
    assert not is_ours(data | {"source": "elsewhere"})
    assert not is_ours(data | {"image_id": "no image's"})
    assert not is_ours({"image": data["image"], "image_id": image})


class Slow(FakeStudio):
    """Cut off by the deadline after so many requests."""

    requests_left = 10**9

    def _asked(self, name: str) -> None:
        super()._asked(name)
        self.requests_left -= 1
        if self.requests_left < 0:
            raise StudioUnavailable("did not answer in time")


def test_erased_images_are_deleted_however_few_requests_there_is_time_for(trip: RoundTrip) -> None:
    trip.studio = studio = Slow()
    trip.set(images=ImageAccess.UPLOAD)
    images = [trip.detect() for _ in range(12)]
    trip.push()
    for image in images:
        trip.delete(image)
    for left in range(11, -1, -1):
        studio.requests_left = 4  # find, copies, read, delete
        with trip.context.connection.session() as connected:
            assert connected is not None
            delete_erased(trip.context, connected, -math.inf)
        assert len(studio.tasks) == left
    assert studio.uploads == {}


def test_deleting_ends_when_its_time_is_over(trip: RoundTrip) -> None:
    images = [trip.detect() for _ in range(3)]
    trip.push()
    for image in images:
        trip.delete(image)
    with trip.context.connection.session() as connected:
        assert connected is not None
        assert delete_erased(trip.context, connected, -math.inf) == 1
        assert delete_erased(trip.context, connected, math.inf) == 2
    assert trip.studio.tasks == {}


def test_requests_of_deleting_are_bounded(trip: RoundTrip, monkeypatch: pytest.MonkeyPatch) -> None:
    left_s: list[float] = []

    def measure(*_: object) -> list[str]:
        left_s.append(find_left_s())
        return []

    trip.set(images=ImageAccess.UPLOAD)
    image = trip.detect()
    trip.push()
    trip.delete(image)
    monkeypatch.setattr(trip.studio, "delete_copies", measure)
    with trip.context.connection.session() as connected:
        assert connected is not None
        delete_erased(trip.context, connected, time.monotonic() + 600)
    [left] = left_s
    assert GRACE_S < left < 600 + GRACE_S


class Stuck(FakeStudio):
    """Where the list of all copies takes longer than anybody waits."""

    stuck = True

    def delete_copies(self, project_id: int, names: Sequence[str]) -> Sequence[str]:
        if self.stuck:
            raise StudioUnavailable("did not answer in time")
        return super().delete_copies(project_id, names)


def test_erasing_that_fails_is_noted_and_stops_nothing_else(trip: RoundTrip) -> None:
    trip.studio = studio = Stuck()
    trip.set(images=ImageAccess.UPLOAD)
    image, ended = trip.detect(), trip.detect()
    trip.push()
    trip.delete(image)
    studio.delete_task(trip.task_of(ended))
    trip.wait(601)
    trip.follow()
    assert trip.row(ended).state == TaskState.GONE, "the two sides were compared"
    assert (trip.notes, trip.reason) == ([f"{NOT_ERASED}did not answer in time"], "")
    trip.wait(601 * 4)
    late = trip.detect()
    trip.push()
    assert len(trip.tasks_of(late)) == 1
    studio.stuck = False
    trip.follow()
    assert (trip.notes, trip.tasks_of(image)) == ([], [])
    assert [one for one in studio.uploads if image in one] == []


def test_copies_are_listed_only_where_there_may_be_one(trip: RoundTrip) -> None:
    image = trip.detect()
    trip.push()
    trip.delete(image)
    trip.follow()
    assert trip.tasks_of(image) == []
    assert "delete_copies" not in trip.studio.requests


def test_copy_of_a_task_that_was_found_again_is_deleted(trip: RoundTrip) -> None:
    trip.set(images=ImageAccess.UPLOAD)
    image = trip.detect()
    trip.push()
    trip.lose_catalog()
    trip.wait(601)
    trip.follow()
    assert trip.row(image).state == TaskState.SENT
    trip.delete(image)
    trip.follow()
    assert trip.studio.uploads == {}
