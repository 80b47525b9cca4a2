"""Images that Label Studio is given copies of, and uploads that fail half-way."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from pipeline.catalog.labeling.tasks import TaskState
from services.labeling.sending.pushing import CLAIM_S, Pusher
from services.labeling.settings import ImageAccess
from services.labeling.studio.failures import StudioRefused, StudioUnavailable
from tests.fake_studio import FakeStudio
from tests.round_trip import RoundTrip


class Uploading(FakeStudio):
    """`fate`: what becomes of uploads, one after the other, before they are made; those after
    them succeed."""

    def __init__(self, trip: RoundTrip) -> None:
        super().__init__(clock=lambda: trip.now)
        self.fate: list[StudioUnavailable | StudioRefused | None] = []
        self.trip, self.takes_s = trip, 0.0

    def upload(self, project_id: int, name: str, data: bytes) -> str:
        self.trip.wait(self.takes_s)
        error = self.fate.pop(0) if self.fate else None
        if error is not None:
            raise error
        return super().upload(project_id, name, data)


@pytest.fixture
def uploading(trip: RoundTrip) -> Uploading:
    """Nothing waits, and what is there is known."""
    trip.studio = studio = Uploading(trip)
    trip.set(images=ImageAccess.UPLOAD)
    trip.push()
    return studio


def test_uploads_that_fail_half_way_are_not_made_again(
    trip: RoundTrip, uploading: Uploading
) -> None:
    images = [trip.detect() for _ in range(5)]
    uploading.fate = [None, None, StudioUnavailable("no answer")]
    trip.push()
    assert (len(uploading.uploads), uploading.tasks) == (2, {})
    assert {trip.row(image).claim_token for image in images} == {None}
    trip.restart()
    trip.push()
    assert len(uploading.uploads) == 5
    shown = [uploading.tasks[trip.task_of(image)].data["image"] for image in images]
    assert shown == list(uploading.uploads)


def test_uploads_whose_import_came_to_nothing_are_not_made_again(
    trip: RoundTrip, uploading: Uploading, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes: list[Exception] = [StudioRefused("403", 403), StudioUnavailable("500")]

    def fail(*_: object) -> Sequence[int]:
        raise outcomes.pop()

    images = [trip.detect() for _ in range(3)]
    with monkeypatch.context() as failing:
        failing.setattr(uploading, "import_tasks", fail)
        while outcomes:
            trip.push()
            trip.wait(CLAIM_S + 1)
    trip.push()
    assert [len(trip.tasks_of(image)) for image in images] == [1] * 3
    assert len(uploading.uploads) == 3


def test_image_asked_for_again_gets_a_copy_of_its_own(
    trip: RoundTrip, uploading: Uploading
) -> None:
    """Whether the first one is still there, nobody knows."""
    image = trip.detect()
    trip.push()
    uploading.delete_task(trip.task_of(image))
    trip.wait(601)
    trip.follow()
    trip.ask(image)
    trip.push()
    [first, second] = uploading.uploads
    assert uploading.tasks[trip.task_of(image)].data["image"] == second != first


@pytest.mark.parametrize("last", ["upload", "import"])
def test_copies_that_no_task_ever_showed_are_deleted_with_their_image(
    trip: RoundTrip, uploading: Uploading, monkeypatch: pytest.MonkeyPatch, last: str
) -> None:
    def refuse(*_: object) -> Sequence[int]:
        raise StudioRefused("400: validation error", 400)

    image, other = trip.detect(), trip.detect()
    if last == "upload":
        uploading.fate = [None, StudioUnavailable("no answer")]
        trip.push()
    else:
        with monkeypatch.context() as refusing:
            refusing.setattr(uploading, "import_tasks", refuse)
            trip.push()
        assert trip.row(image).state == TaskState.FAILED
    assert [name for name in uploading.uploads if image in name]
    for one in (image, other):
        trip.delete(one)
    trip.wait(60)
    trip.follow()
    assert uploading.uploads == {}
    assert trip.workspace.catalog.labeling.of_image(image) == []


def test_image_erased_while_it_was_uploaded_leaves_no_copy(
    trip: RoundTrip, uploading: Uploading, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its copies were deleted before this one was there."""
    image = trip.detect()
    upload = uploading.upload

    def erase_and_upload(project: int, name: str, data: bytes) -> str:
        trip.delete(image)
        trip.workspace.catalog.labeling.drop_erased(trip.project.key, [image])
        return upload(project, name, data)

    monkeypatch.setattr(uploading, "upload", erase_and_upload)
    trip.push()
    assert (uploading.uploads, uploading.tasks) == ({}, {})


def test_uploads_on_a_slow_line_come_to_an_end(trip: RoundTrip, uploading: Uploading) -> None:
    images = [trip.detect() for _ in range(25)]
    for image in images:
        trip.consider(image)
    uploading.takes_s = 8
    with trip.context.connection.session() as connected:
        assert connected is not None
        pusher = Pusher(trip.context, connected, math.inf)
        sent = [pusher.send_waiting() for _ in range(4)]
    assert sent == [12, 12, 1, None]
    assert [len(trip.tasks_of(image)) for image in images] == [1] * 25
    assert len(uploading.uploads) == 25


def test_image_whose_copy_is_refused_fails_alone(trip: RoundTrip, uploading: Uploading) -> None:
    images = [trip.detect() for _ in range(3)]
    uploading.fate = [StudioRefused("takes no request of that size (413)", 413)]
    trip.push()
    assert [len(trip.tasks_of(image)) for image in images] == [0, 1, 1]
    row = trip.row(images[0])
    assert (row.state, trip.reason) == (TaskState.FAILED, "")
    assert "Label Studio takes no copy of it: takes no request of that size" in row.reason
    assert "traboule labels push --failed" in row.reason
    trip.ask(images[0])
    trip.push()
    assert len(trip.tasks_of(images[0])) == 1


def test_upload_that_nobody_may_make_fails_no_image(trip: RoundTrip, uploading: Uploading) -> None:
    images = [trip.detect() for _ in range(3)]
    uploading.fate = [StudioRefused("not for you", 403)]
    trip.push()
    assert [trip.row(image).state for image in images] == [TaskState.WAITING] * 3
    assert trip.reason == "not for you"
