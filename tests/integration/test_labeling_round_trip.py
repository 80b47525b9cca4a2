"""The round trip against a real Label Studio: what goes out, what comes back, what goes wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import requests

from pipeline.catalog.labeling.tasks import TaskState
from pipeline.messages import FollowChanges, Message
from services.labeling.api import make_api, serving
from services.labeling.sending.pushing import CLAIM_S
from services.labeling.settings import ImageAccess
from services.labeling.studio.connection import Connected
from services.labeling.webhook import Doorbell
from tests.label_studio import People, StudioServer
from tests.round_trip import RoundTrip, box, open_trip
from tests.waiting import wait_until

pytestmark = pytest.mark.integration


@pytest.fixture
def trip(tmp_path: Path, studio_server: StudioServer) -> Iterator[RoundTrip]:
    with open_trip(tmp_path, studio_server) as trip:
        yield trip


@pytest.fixture
def people(studio_server: StudioServer) -> Iterator[People]:
    with closing(People(studio_server.url, studio_server.annotator_token)) as people:
        yield people


def connected(trip: RoundTrip) -> Connected:
    with trip.context.connection.session() as found:
        assert found is not None
    return found


def task_of(trip: RoundTrip, image: str) -> int:
    [task] = tasks_of(trip, image)
    return task


def tasks_of(trip: RoundTrip, image: str) -> list[int]:
    it = connected(trip)
    return list(it.studio.find_tasks(it.project.id, [image]).get(image, ()))


def state_of(trip: RoundTrip, image: str) -> str:
    row = trip.workspace.catalog.labeling.get(connected(trip).key, image)
    assert row is not None
    return row.state


def test_correction_comes_back_with_every_revision(trip: RoundTrip, people: People) -> None:
    image = trip.detect({"car": 2})
    trip.push()
    task = task_of(trip, image)
    first = people.annotate(task, [box(), box("person", 50)], lead_time=3.5)
    trip.follow()
    people.change_annotation(first, result=[box("bus")])
    trip.follow()
    people.annotate(task, [], was_cancelled=True)
    people.annotate(task, [])
    trip.follow()
    people.delete_annotation(first)
    trip.follow()
    assert sorted(trip.statuses(image)) == [
        "deleted",
        "labelled",
        "labelled",
        "negative",
        "skipped",
    ]
    assert {one.author for one in trip.revisions(image)} == {"annotator@localhost"}
    for _ in range(3):
        trip.wait(700)
        trip.restart()
        trip.push()
        trip.follow()
    assert len(trip.statuses(image)) == 5
    assert len(tasks_of(trip, image)) == 1


def test_deletions_by_the_data_manager_are_noticed(trip: RoundTrip, people: People) -> None:
    emptied, deleted = trip.detect(), trip.detect()
    trip.push()
    for image in (emptied, deleted):
        people.annotate(task_of(trip, image), [box()])
    trip.follow()
    number = connected(trip).project.id
    people.act(number, "delete_tasks_annotations", [task_of(trip, emptied)])
    people.act(number, "delete_tasks", [task_of(trip, deleted)])
    trip.wait(700)
    trip.follow()
    assert trip.statuses(deleted) == ["labelled", "deleted"]
    assert state_of(trip, deleted) == TaskState.GONE
    assert trip.statuses(emptied) == ["labelled", "deleted"]
    assert state_of(trip, emptied) == TaskState.SENT


def test_uploaded_image_is_recorded_as_a_copy(trip: RoundTrip) -> None:
    trip.set(images=ImageAccess.UPLOAD)
    image = trip.detect()
    trip.push()
    row = trip.workspace.catalog.labeling.get(connected(trip).key, image)
    assert row is not None
    assert (row.state, row.copy_address) == (TaskState.SENT, "")


def test_nothing_of_an_erased_image_stays(trip: RoundTrip, people: People) -> None:
    trip.set(images=ImageAccess.UPLOAD)
    image, other = trip.detect(), trip.detect()
    trip.push()
    studio, task, left = connected(trip).studio, task_of(trip, image), task_of(trip, other)
    copies = {one: str(studio.get_task(one).data["image"]) for one in (task, left)}  # type: ignore[union-attr]
    said = people.annotate(task, [box()])
    trip.follow()
    trip.delete(image)
    trip.follow()
    assert tasks_of(trip, image) == []
    assert not people.can_fetch(copies[task])
    with pytest.raises(requests.HTTPError):
        people.ask("GET", f"/api/annotations/{said}/")
    assert people.can_fetch(copies[left])
    assert task_of(trip, other) == left
    assert trip.statuses(image) == []


def test_rebuilt_catalog_sends_nothing_twice(trip: RoundTrip) -> None:
    images = [trip.detect() for _ in range(30)]
    trip.push()
    trip.lose_catalog()
    for _ in range(3):
        trip.push()
        trip.follow()
    assert [len(tasks_of(trip, image)) for image in images] == [1] * 30
    assert {state_of(trip, image) for image in images} == {TaskState.SENT}


def test_sender_killed_anywhere_doubles_nothing(trip: RoundTrip) -> None:
    survived, steps = False, 0
    while not survived:
        images = [trip.detect(), trip.detect()]
        survived = trip.survive(trip.push, steps)
        trip.wait(CLAIM_S)
        trip.push()
        assert [len(tasks_of(trip, image)) for image in images] == [1, 1]
        steps += 1
    assert steps > 15


def test_webhook_gives_a_hint_of_an_annotation(
    trip: RoundTrip, people: People, tmp_path: Path
) -> None:
    published: list[Message] = []
    doorbell = Doorbell(published.append, within_s=0.1)
    with serving(make_api(trip.settings, trip.workspace.store, doorbell), "127.0.0.1", 0) as port:
        trip.set(webhook_url=f"http://127.0.0.1:{port}/webhook")
        image = trip.detect()
        trip.push()
        assert connected(trip).problems == []
        assert published == [], "our own push is no news"
        people.annotate(task_of(trip, image), [box()])
        wait_until(lambda: FollowChanges() in published)
        annotation = followed_annotation(trip, image)
        published.clear()
        people.delete_annotation(annotation)
        wait_until(lambda: FollowChanges() in published)
    trip.follow()
    assert trip.statuses(image) == ["labelled", "deleted"]


def followed_annotation(trip: RoundTrip, image: str) -> int:
    trip.follow()
    [revision] = trip.revisions(image)
    return int(revision.origin.annotation)


def test_wrong_token_and_deleted_project_are_told_and_got_over(
    trip: RoundTrip, people: People, studio_server: StudioServer
) -> None:
    image = trip.detect()
    trip.push()
    trip.token_file.write_text("f" * 40)
    trip.restart()
    trip.follow()
    assert trip.reason != ""
    assert studio_server.token not in trip.reason
    trip.token_file.write_text(studio_server.token)
    trip.wait(60)
    people.annotate(task_of(trip, image), [box()])
    trip.follow()
    assert (trip.statuses(image), trip.reason) == (["labelled"], "")
    people.delete_project(connected(trip).project.id)
    for _ in range(2):
        trip.follow()
        trip.wait(60)
    assert "traboule labels connect" in trip.reason
