from __future__ import annotations

import json
import math
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from pipeline import keys
from pipeline.catalog.labeling.claims import Claim
from pipeline.catalog.labeling.tasks import TaskState
from pipeline.errors import StorageError
from services.labeling.receiving import comparing
from services.labeling.receiving.comparing import KNOWN_FOR
from services.labeling.sending import considering, pushing
from services.labeling.sending.composing import Unsendable, compose_task
from services.labeling.sending.pushing import CLAIM_S, IMPORT_WITHIN_S, Pusher
from services.labeling.settings import ImageAccess
from services.labeling.studio.deadlines import GRACE_S, find_left_s
from services.labeling.studio.failures import StudioRefused, StudioUnavailable
from services.labeling.studio.protocol import NewStudioTask
from tests.fake_studio import FakeStudio
from tests.round_trip import TOKEN, Killed, RoundTrip


def test_task_carries_its_image_and_what_the_models_said(trip: RoundTrip) -> None:
    image = trip.detect({"car": 2, "zebra": 1})
    trip.push()
    task = trip.studio.tasks[trip.task_of(image)]
    assert task.data["image_id"] == image
    assert task.data["source"] == "quai-saone"
    assert task.data["captured_at"].startswith("2026-11-21T10:00:01")
    assert task.data["licence"] == "Licence Ouverte 2.0"
    assert task.data["attribution"] == "Métropole de Lyon"
    [prediction] = task.predictions
    assert prediction["model_version"] == "yolox-nano abababab"
    assert len(prediction["result"]) == 2
    row = trip.row(image)
    assert (row.state, row.task_id, row.copy_address) == (TaskState.SENT, task.id, None)


def test_pushing_again_adds_nothing(trip: RoundTrip) -> None:
    image = trip.detect()
    for _ in range(3):
        trip.consider(image)
        trip.push()
        trip.ask(image)
        trip.wait(CLAIM_S * 2)
    assert len(trip.tasks_of(image)) == 1
    assert trip.studio.requests["import_tasks"] == 1


def test_rebuilt_catalog_is_compared_before_anything_is_sent(trip: RoundTrip) -> None:
    images = [trip.detect() for _ in range(5)]
    trip.push()
    trip.lose_catalog()
    images.append(trip.detect())
    trip.push()
    assert [len(trip.tasks_of(image)) for image in images] == [1] * 6
    assert {trip.row(image).state for image in images} == {TaskState.SENT}


def test_nothing_is_sent_before_the_comparison_is_at_its_end(
    trip: RoundTrip, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparing, "AT_ONCE", 2)
    images = [trip.detect() for _ in range(9)]
    trip.push()
    trip.lose_catalog()
    trip.consider(trip.detect())
    runs = 0
    while len(trip.studio.tasks) == 9:
        with trip.context.connection.session() as connected:
            assert connected is not None
            considering.catch_up(trip.context, connected.key, math.inf)
            Pusher(trip.context, connected, -math.inf).send_waiting()
        runs += 1
        assert runs < 50
    assert runs > 5
    assert [len(trip.tasks_of(image)) for image in images] == [1] * 9


def test_catalog_from_a_backup_is_compared_before_anything_is_sent(trip: RoundTrip) -> None:
    image = trip.detect()
    trip.push()
    [task] = trip.tasks_of(image)
    key = trip.project.key
    trip.workspace.catalog.labeling.erase_image(image, trip.now)
    trip.workspace.catalog.labeling.drop_erased(key, [image])
    trip.wait(trip.settings.compare_every_s * KNOWN_FOR)
    trip.push()
    assert trip.tasks_of(image) == [task]
    assert trip.row(image).task_id == task


def test_image_is_addressed_as_the_settings_have_it(trip: RoundTrip) -> None:
    signed, stored, given = trip.detect(), trip.detect(), trip.detect()
    trip.set(images=ImageAccess.SIGNED, per_camera_and_day=1)
    trip.push()
    address = trip.studio.tasks[trip.task_of(signed)].data["image"]
    assert address.startswith(f"http://127.0.0.1:8300/images/{signed}.jpg?signature=")
    trip.set(images=ImageAccess.S3, per_camera_and_day=2)
    trip.push()
    [task] = trip.tasks_of(stored)
    assert trip.studio.tasks[task].data["image"] == f"s3://{keys.stored_image(stored)}"
    trip.set(images=ImageAccess.UPLOAD, per_camera_and_day=3)
    trip.push()
    [(copy, data)] = trip.studio.uploads.items()
    assert trip.studio.tasks[trip.task_of(given)].data["image"] == copy
    assert data == trip.workspace.store.get(keys.stored_image(given)).data
    addresses = [trip.row(image).copy_address for image in (signed, stored, given)]
    assert addresses == [None, None, ""]


def test_quota_of_a_day_keeps_the_others_waiting(trip: RoundTrip) -> None:
    trip.set(per_camera_and_day=2)
    for camera in ("quai", "pont"):
        for _ in range(4):
            trip.detect(camera=camera)
    for _ in range(2):
        trip.push()
    assert trip.workspace.catalog.labeling.count_by_state(trip.project.key) == {
        "sent": 4,
        "waiting": 4,
    }


def test_batches_are_no_larger_than_a_request_may_be(
    trip: RoundTrip, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pushing, "MAX_TASKS_PER_REQUEST", 4)
    for _ in range(10):
        trip.detect()
    trip.push()
    assert len(trip.studio.tasks) == 10
    assert trip.studio.requests["import_tasks"] == 3


def test_sender_killed_anywhere_loses_nothing_and_doubles_nothing(trip: RoundTrip) -> None:
    survived, steps = False, 0
    while not survived:
        images = [trip.detect() for _ in range(2)]
        survived = trip.survive(trip.push, steps)
        for _ in range(2):
            trip.push()
        assert [len(trip.tasks_of(image)) for image in images] == [1, 1]
        assert {trip.row(image).task_id for image in images} <= set(trip.studio.tasks)
        assert {trip.row(image).state for image in images} == {TaskState.SENT}
        steps += 1
    assert steps > 20, "that many places to be killed at"


def test_sender_killed_after_label_studio_took_its_tasks_sends_none_twice(
    trip: RoundTrip, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = [trip.detect() for _ in range(3)]
    taken = FakeStudio.import_tasks

    def take_and_die(
        studio: FakeStudio, project: int, new: Sequence[NewStudioTask]
    ) -> Sequence[int]:
        taken(studio, project, new)
        raise Killed

    with monkeypatch.context() as dying:
        dying.setattr(FakeStudio, "import_tasks", take_and_die)
        with pytest.raises(Killed):
            trip.push()
    trip.restart()
    trip.push()
    assert {trip.row(image).state for image in images} == {TaskState.WAITING}, "still claimed"
    trip.wait(CLAIM_S + 1)
    trip.push()
    assert len(trip.studio.tasks) == 3
    assert {trip.row(image).state for image in images} == {TaskState.SENT}


def test_answer_that_never_came_is_looked_up_before_anything_is_sent_again(
    trip: RoundTrip, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A timeout: Label Studio was slow, and took them all the same."""
    trip.detect()
    taken = FakeStudio.import_tasks

    def take_too_long(
        studio: FakeStudio, project: int, new: Sequence[NewStudioTask]
    ) -> Sequence[int]:
        taken(studio, project, new)
        raise StudioUnavailable("no answer in 20 s")

    with monkeypatch.context() as slow:
        slow.setattr(FakeStudio, "import_tasks", take_too_long)
        trip.push()
    assert trip.reason == "no answer in 20 s"
    for _ in range(3):
        trip.wait(CLAIM_S)
        trip.push()
    assert len(trip.studio.tasks) == 1
    assert trip.reason == ""


def test_task_doubled_by_hand_meanwhile_is_taken_by_its_first_number(
    trip: RoundTrip, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise Killed

    image = trip.detect()
    with monkeypatch.context() as dying:
        dying.setattr(FakeStudio, "import_tasks", die)
        with pytest.raises(Killed):
            trip.push()
    copy = NewStudioTask({"image": "a", "image_id": image})
    first, _ = trip.studio.import_tasks(trip.project.id, [copy, copy])
    trip.restart()
    trip.wait(CLAIM_S + 1)
    trip.push()
    assert trip.row(image).task_id == first
    assert len(trip.tasks_of(image)) == 2, "and none was added"


@pytest.mark.parametrize(
    ("gone", "reason"),
    [("image", "gone from the store"), ("detections", "gone"), ("erased", "erased")],
)
def test_image_that_is_gone_fails_with_its_reason_and_holds_up_no_other(
    trip: RoundTrip, gone: str, reason: str
) -> None:
    trip.push()
    images = [trip.detect() for _ in range(3)]
    for image in images:
        trip.consider(image)
    if gone == "erased":
        trip.erase(images[1])
    else:
        key = keys.stored_image if gone == "image" else keys.detections
        trip.workspace.store.delete(key(images[1]))
    trip.push()
    row = trip.row(images[1])
    assert row.state == TaskState.FAILED
    assert reason in row.reason
    assert [len(trip.tasks_of(image)) for image in images] == [1, 0, 1]


class Fussy(FakeStudio):
    """Refuses some images, and with them the whole batch."""

    refused: tuple[str, ...] = ()

    def import_tasks(self, project_id: int, tasks: Sequence[NewStudioTask]) -> Sequence[int]:
        if any(task.data["image_id"] in self.refused for task in tasks):
            self._asked("import_tasks")
            raise StudioRefused("400: validation error", 400)
        return super().import_tasks(project_id, tasks)


def test_task_that_is_refused_fails_alone(trip: RoundTrip) -> None:
    trip.studio = studio = Fussy()
    trip.restart()
    images = [trip.detect() for _ in range(9)]
    studio.refused = (images[4], images[8])
    trip.push()
    failed = [image for image in images if trip.row(image).state == TaskState.FAILED]
    assert failed == [images[4], images[8]]
    assert "Label Studio does not take it: 400" in trip.row(images[4]).reason
    assert len(studio.tasks) == 7
    assert studio.requests["import_tasks"] <= 15
    assert trip.reason == "", "the round trip itself is well"


def test_token_revoked_in_mid_push_blames_no_image(trip: RoundTrip) -> None:
    class Revoking(FakeStudio):
        def import_tasks(self, project_id: int, tasks: Sequence[NewStudioTask]) -> Sequence[int]:
            self.refuses = "401: invalid token"
            return super().import_tasks(project_id, tasks)

    trip.studio = revoking = Revoking()
    trip.restart()
    images = [trip.detect() for _ in range(5)]
    trip.push()
    assert revoking.tasks == {}
    assert {trip.row(image).state for image in images} == {TaskState.WAITING}
    assert "invalid token" in trip.reason
    honest = FakeStudio()
    honest.projects = revoking.projects
    trip.studio = honest
    trip.token_file.write_text("another-token")
    trip.wait(60)
    trip.push()
    assert [len(trip.tasks_of(image)) for image in images] == [1] * 5


def test_store_that_is_away_gives_the_claim_back(
    trip: RoundTrip, monkeypatch: pytest.MonkeyPatch
) -> None:
    trip.push()
    image = trip.detect()
    trip.consider(image)

    def fail(*_: object) -> None:
        raise StorageError("the object store does not answer")

    with monkeypatch.context() as away:
        away.setattr(type(trip.workspace.store), "get", fail)
        with pytest.raises(StorageError):
            trip.push()
    assert trip.tasks_of(image) == []
    trip.push()
    assert len(trip.tasks_of(image)) == 1, "at once: nothing had been sent"


def test_addresses_cannot_be_signed_without_their_secret(trip: RoundTrip) -> None:
    trip.set(images_secret_file=None)
    image = trip.detect()
    trip.push()
    assert "the secret of images' addresses" in trip.reason
    trip.set(images_secret_file=trip.token_file)
    trip.push()
    assert len(trip.tasks_of(image)) == 1


def test_nothing_that_is_sent_shows_the_token(trip: RoundTrip) -> None:
    trip.detect()
    trip.push()
    assert trip.tokens == [TOKEN]
    sent = json.dumps([(task.data, task.predictions) for task in trip.studio.tasks.values()])
    assert TOKEN not in sent + repr(trip.context.settings) + repr(trip.context.connection)


@pytest.mark.parametrize(
    ("ours", "theirs", "key"),
    [
        ("$image", "$picture", "$picture"),
        ("</View>", '<Text name="n" value="$note"/></View>', "$note"),
    ],
)
def test_interface_that_asks_for_what_no_task_has_fails_no_image(
    trip: RoundTrip, ours: str, theirs: str, key: str
) -> None:
    trip.push()
    interface = trip.project.interface
    edited = interface.replace(ours, theirs)
    images = [trip.detect() for _ in range(9)]
    trip.studio.change_interface(trip.project.id, edited)
    for _ in range(2):
        trip.push()
        trip.wait(60)
    assert {trip.row(image).state for image in images} == {TaskState.WAITING}
    assert f"the labeling interface asks for {key}," in trip.reason
    assert trip.studio.requests["import_tasks"] == 2, "it is not halved"
    trip.follow()
    assert key in trip.reason, "and it stays so, whatever else goes well"
    trip.studio.change_interface(trip.project.id, interface)
    trip.push()
    assert [len(trip.tasks_of(image)) for image in images] == [1] * 9
    trip.wait(trip.settings.compare_every_s)
    trip.follow()
    assert (trip.reason, trip.notes) == ("", [])


def test_comparison_notes_an_interface_that_asks_for_what_no_task_has(trip: RoundTrip) -> None:
    trip.push()
    edited = trip.project.interface.replace("</View>", '<Text name="n" value="$note"/></View>')
    trip.studio.change_interface(trip.project.id, edited)
    trip.wait(trip.settings.compare_every_s)
    trip.follow()
    [note] = trip.notes
    assert note.startswith("the labeling interface asks for $note, which no labeling task")


def test_interface_that_cannot_be_read_is_to_blame_before_any_image(trip: RoundTrip) -> None:
    class Odd(FakeStudio):
        def import_tasks(self, project_id: int, tasks: Sequence[NewStudioTask]) -> Sequence[int]:
            raise StudioRefused("400: validation error", 400)

    trip.studio = Odd()
    trip.restart()
    trip.push()
    trip.studio.change_interface(trip.project.id, "<View>")
    image = trip.detect()
    trip.push()
    assert trip.row(image).state == TaskState.WAITING
    assert trip.reason.startswith("the labeling interface cannot be used")


@pytest.mark.parametrize("status", [301, 403, 405, None])
def test_refusal_that_blames_no_task_fails_none(trip: RoundTrip, status: int | None) -> None:
    class Closed(FakeStudio):
        def import_tasks(self, project_id: int, tasks: Sequence[NewStudioTask]) -> Sequence[int]:
            self._asked("import_tasks")
            raise StudioRefused("you may not import", status)

    trip.studio = closed = Closed()
    trip.restart()
    images = [trip.detect() for _ in range(3)]
    trip.push()
    assert closed.requests["import_tasks"] == 1
    assert [trip.row(image).state for image in images] == [TaskState.WAITING] * 3
    assert {trip.row(image).claim_token for image in images} == {None}
    assert trip.reason == "you may not import"


def test_request_that_is_too_large_is_halved(trip: RoundTrip) -> None:
    class Small(FakeStudio):
        def import_tasks(self, project_id: int, tasks: Sequence[NewStudioTask]) -> Sequence[int]:
            if len(tasks) > 2:
                raise StudioRefused("too large", 413)
            return super().import_tasks(project_id, tasks)

    trip.studio = small = Small()
    trip.restart()
    images = [trip.detect() for _ in range(5)]
    trip.push()
    assert [len(trip.tasks_of(image)) for image in images] == [1] * 5
    assert len(small.tasks) == 5


def test_task_that_is_refused_says_what_to_do(trip: RoundTrip) -> None:
    trip.studio = studio = Fussy()
    trip.restart()
    image = trip.detect()
    studio.refused = (image,)
    trip.push()
    assert "traboule labels push --failed" in trip.row(image).reason


@pytest.mark.parametrize(("after_s", "tasks"), [(IMPORT_WITHIN_S - 1, 1), (IMPORT_WITHIN_S, 0)])
def test_nothing_is_imported_near_the_end_of_its_claim(
    trip: RoundTrip, monkeypatch: pytest.MonkeyPatch, after_s: float, tasks: int
) -> None:
    """Label Studio may go on with it when another has taken over."""
    trip.push()
    image = trip.detect()
    trip.consider(image)
    compose = compose_task

    def compose_slowly(*parts: Any) -> NewStudioTask:
        trip.wait(after_s)
        return compose(*parts)

    with trip.context.connection.session() as connected, monkeypatch.context() as slow:
        assert connected is not None
        slow.setattr(pushing, "compose_task", compose_slowly)
        assert Pusher(trip.context, connected, math.inf).send_waiting() == tasks
    assert len(trip.tasks_of(image)) == tasks
    trip.push()
    assert len(trip.tasks_of(image)) == 1


def test_sender_that_lost_its_claim_fails_nothing(
    trip: RoundTrip, monkeypatch: pytest.MonkeyPatch
) -> None:
    trip.push()
    image = trip.detect()
    trip.consider(image)
    compose = compose_task

    def compose_too_late(*parts: Any) -> NewStudioTask:
        monkeypatch.setattr(pushing, "compose_task", compose)
        trip.wait(CLAIM_S)
        other = RoundTrip(trip.workspace, studio=trip.studio, now=trip.now)
        key = trip.project.key
        claim = Claim("other", trip.now, trip.now + timedelta(seconds=60))
        assert other.context.catalog.labeling_claims.take_over(key, [image], claim)
        raise Unsendable("it is gone from the store")

    monkeypatch.setattr(pushing, "compose_task", compose_too_late)
    trip.push()
    assert (trip.row(image).state, trip.row(image).claim_token) == (TaskState.WAITING, "other")


def test_requests_end_soon_after_the_time_is_over(
    trip: RoundTrip, monkeypatch: pytest.MonkeyPatch
) -> None:
    left_s = []
    taken = FakeStudio.import_tasks

    def measure(studio: FakeStudio, project: int, new: Sequence[NewStudioTask]) -> Sequence[int]:
        left_s.append(find_left_s())
        return taken(studio, project, new)

    monkeypatch.setattr(FakeStudio, "import_tasks", measure)
    trip.set(run_s=600)
    trip.detect()
    trip.push()
    [left] = left_s
    assert GRACE_S < left < 600 + GRACE_S
    assert find_left_s() == math.inf


def test_project_is_asked_for_where_there_is_something_to_send(trip: RoundTrip) -> None:
    trip.push()
    before = trip.studio.requests["get_project"]
    trip.push()
    assert trip.studio.requests["get_project"] == before
    image = trip.detect()
    trip.push()
    assert trip.studio.requests["get_project"] > before
    assert len(trip.tasks_of(image)) == 1
