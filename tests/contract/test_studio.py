"""Every Studio: the fake one, and the client on a real Label Studio."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest

from services.labeling import client
from services.labeling.client import SdkStudio
from services.labeling.studio.access import TokenKind, check_access
from services.labeling.studio.failures import ProjectMissing, StudioRefused, StudioUnavailable
from services.labeling.studio.protocol import (
    NewStudioTask,
    SourceStorage,
    Studio,
    StudioPrediction,
    StudioProject,
    StudioTask,
)
from services.labeling.studio.wire import name_project
from tests.fake_studio import FakeStudio
from tests.label_studio import People, StudioServer, start_label_studio
from tests.stub_studio import Received, Reply, running_stub

INTERFACE = (
    '<View><Image name="image" value="$image"/><RectangleLabels name="label" toName="image">'
    '<Label value="car"/><Label value="bus"/></RectangleLabels></View>'
)
BOX = {
    "id": "a1",
    "from_name": "label",
    "to_name": "image",
    "type": "rectanglelabels",
    "original_width": 640,
    "original_height": 480,
    "value": {"x": 1, "y": 2, "width": 3, "height": 4, "rotation": 0, "rectanglelabels": ["car"]},
}


JPEG = b"\xff\xd8\xff"


@dataclass(frozen=True)
class Place:
    """A Studio with an empty project, and the people who work there."""

    studio: Studio
    people: People | FakeStudio
    project: StudioProject

    def send(self, *image_ids: str) -> list[int]:
        return list(self.studio.import_tasks(self.project.id, [task_of(i) for i in image_ids]))

    def read(self, task_id: int) -> StudioTask:
        task = self.studio.get_task(task_id)
        assert task is not None
        return task

    def changed(self, since: StudioTask | None = None) -> list[str | None]:
        time = None if since is None else since.updated_at
        return [task.image_id for task in self.studio.list_changed(self.project.id, time)]


def task_of(image_id: str, **fields: Any) -> NewStudioTask:
    return NewStudioTask({"image": f"http://x.test/{image_id}.jpg", "image_id": image_id}, **fields)


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.integration)])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    if request.param == "fake":
        fake = FakeStudio()
        yield Place(fake, fake, fake.create_project("Traboule", INTERFACE))
        return
    server: StudioServer = request.getfixturevalue("studio_server")
    with (
        closing(SdkStudio(server.url, server.token)) as studio,
        closing(People(server.url, server.token)) as people,
    ):
        title = f"Traboule {uuid4().hex[:8]}"
        yield Place(studio, people, studio.create_project(title, INTERFACE))


@pytest.fixture(scope="module")
def own_server() -> Iterator[StudioServer]:
    """One that may be killed, and lose its users."""
    with start_label_studio() as server:
        yield server


def test_studio_says_its_version(place: Place) -> None:
    assert place.studio.version().startswith("1.")


def test_deleted_tasks_are_gone_with_what_was_said_in_them(place: Place) -> None:
    first, second, third = place.send("cam-1", "cam-2", "cam-3")
    place.people.annotate(first, [BOX])
    place.people.delete_task(second)
    place.studio.delete_tasks([first, second])
    assert [task for task, _ in place.studio.list_task_ids(place.project.id)] == [third]
    assert place.studio.get_task(first) is None
    place.studio.delete_tasks([])
    assert place.changed() == ["cam-3"]


def test_deleted_copies_are_those_of_the_names(place: Place) -> None:
    studio, project = place.studio, place.project.id
    names = ["quai-20261121T091640Z-8be14bda.jpg", "quai-20261121T091640Z-8be14bdb.jpg"]
    first, again, other = (
        studio.upload(project, name, JPEG) for name in (names[0], names[0], names[1])
    )
    assert studio.delete_copies(project, ["none-such.jpg"]) == []
    assert studio.delete_copies(project, []) == []
    assert sorted(studio.delete_copies(project, names[:1])) == sorted([first, again])
    if isinstance(place.people, People):
        fetched = [place.people.can_fetch(one) for one in (first, again, other)]
        assert fetched == [False, False, True]
    assert studio.delete_copies(project, names) == [other]


def test_project_is_found_by_its_title_alone(place: Place) -> None:
    project = place.project
    other = place.studio.create_project(project.title + " too", INTERFACE)
    assert list(place.studio.find_projects(project.title)) == [project]
    assert place.studio.get_project(other.id) == other
    assert list(place.studio.find_projects("none such")) == []
    assert project.key == name_project(place.studio.url, project.id, project.created_at)
    assert place.studio.get_project(project.id).key == project.key


def test_interface_is_changed(place: Place) -> None:
    changed = INTERFACE.replace("bus", "truck")
    place.studio.change_interface(place.project.id, changed)
    assert place.studio.get_project(place.project.id).interface == changed


def test_import_gives_numbers_in_order(place: Place) -> None:
    names = [f"cam-{number}" for number in range(250)]
    numbers = place.send(*names)
    assert [place.read(numbers[at]).image_id for at in (0, 100, 249)] == [
        "cam-0",
        "cam-100",
        "cam-249",
    ]
    assert list(place.studio.list_task_ids(place.project.id)) == list(
        zip(numbers, names, strict=True)
    )


def test_import_keeps_predictions_and_annotations(place: Place) -> None:
    prediction = StudioPrediction("yolox 0123abcd", 0.5, [BOX | {"score": 0.5}])
    annotation = {"result": [BOX], "was_cancelled": True, "ground_truth": True, "lead_time": 2.5}
    new = task_of("cam-1", predictions=[prediction], annotations=[annotation])
    [number] = place.studio.import_tasks(place.project.id, [new])
    task = place.read(number)
    assert task.data == new.data
    [kept] = task.predictions
    assert kept["model_version"] == "yolox 0123abcd"
    assert kept["score"] == 0.5
    assert kept["result"] == [BOX | {"score": 0.5}]
    [made] = task.annotations
    assert {name: made[name] for name in annotation} == annotation


def test_model_whose_predictions_are_shown_is_chosen(place: Place) -> None:
    studio, number = place.studio, place.project.id
    assert place.project.model_version == ""
    with pytest.raises(StudioRefused, match="Model version"):
        studio.set_model_version(number, "yolox 01")
    both = [StudioPrediction("yolox 01", 0.5, [BOX]), StudioPrediction("yunet 02", None, [])]
    place.send("cam-0")
    studio.import_tasks(number, [task_of("cam-1", predictions=both)])
    assert studio.get_project(number).model_version == "yunet 02", "the last, by itself"
    for version in ("yolox 01", "", "yolox 01"):
        studio.set_model_version(number, version)
        assert studio.get_project(number).model_version == version
    studio.import_tasks(number, [task_of("cam-2", predictions=both)])
    assert studio.get_project(number).model_version == "yolox 01"


def test_import_of_nothing_makes_nothing(place: Place) -> None:
    assert list(place.studio.import_tasks(place.project.id, [])) == []


def test_import_is_bounded(place: Place) -> None:
    with pytest.raises(ValueError, match="250"):
        place.send(*[f"cam-{number}" for number in range(251)])


def test_import_makes_all_or_none(place: Place) -> None:
    batch = [task_of("cam-1"), NewStudioTask({"image_id": "cam-2"})]
    with pytest.raises(StudioRefused):
        place.studio.import_tasks(place.project.id, batch)
    assert list(place.studio.list_task_ids(place.project.id)) == []


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [("$image", "$picture"), ("</View>", '<Text name="n" value="a $note"/></View>')],
)
def test_import_is_refused_where_the_interface_asks_for_more(
    place: Place, ours: str, theirs: str
) -> None:
    place.studio.change_interface(place.project.id, INTERFACE.replace(ours, theirs))
    signed = NewStudioTask({"image": "http://x.test/a.jpg?signature=0f0f", "image_id": "cam-1"})
    with pytest.raises(StudioRefused, match="key is expected in task data") as caught:
        place.studio.import_tasks(place.project.id, [signed])
    assert "0f0f" not in str(caught.value)
    assert list(place.studio.list_task_ids(place.project.id)) == []


def test_same_image_twice_makes_two_tasks(place: Place) -> None:
    first, second = place.send("cam-1"), place.send("cam-1")
    place.send("cam-2")
    found = place.studio.find_tasks(place.project.id, ["cam-1", "cam-9"])
    assert {image: list(tasks) for image, tasks in found.items()} == {"cam-1": first + second}


def test_many_images_are_looked_up(place: Place) -> None:
    names = [f"cam-{number:03}" for number in range(100)]
    numbers = place.send(*names)
    found = place.studio.find_tasks(place.project.id, names)
    assert {image: list(tasks) for image, tasks in found.items()} == {
        name: [number] for name, number in zip(names, numbers, strict=True)
    }


def test_task_of_somebody_else_has_no_image(place: Place) -> None:
    foreign = [NewStudioTask({"image": "http://x.test/a.jpg"})]
    strange = [NewStudioTask({"image": "http://x.test/a.jpg", "image_id": 7})]
    numbers = [
        *place.studio.import_tasks(place.project.id, foreign),
        *place.studio.import_tasks(place.project.id, strange),
    ]
    assert list(place.studio.list_task_ids(place.project.id)) == [
        (numbers[0], None),
        (numbers[1], None),
    ]
    assert place.read(numbers[0]).image_id is None


def test_annotating_changing_and_deleting_move_the_time(place: Place) -> None:
    [number] = place.send("cam-1")
    times = [place.read(number).updated_at, place.read(number).updated_at]
    assert times[0] == times[1]
    annotation = place.people.annotate(number, [BOX], lead_time=4.5)
    times = [times[0], place.read(number).updated_at]
    place.people.change_annotation(annotation, result=[])
    times.append(place.read(number).updated_at)
    place.people.delete_annotation(annotation)
    times.append(place.read(number).updated_at)
    assert times == sorted(set(times))
    assert list(place.read(number).annotations) == []


def test_annotation_is_read_as_it_was_made(place: Place) -> None:
    [number] = place.send("cam-1")
    made = place.people.annotate(number, [{"foo": 1}, BOX], lead_time=4.5, was_cancelled=True)
    [read] = place.read(number).annotations
    assert read["id"] == made
    assert read["result"] == [{"foo": 1}, BOX]
    assert read["was_cancelled"] is True
    assert read["lead_time"] == 4.5
    assert {"completed_by", "created_at", "updated_at", "ground_truth"} <= read.keys()


def test_ground_truth_takes_the_others_away_and_leaves_their_time(place: Place) -> None:
    [number] = place.send("cam-1")
    first, second = (place.people.annotate(number, [BOX]) for _ in range(2))
    place.people.change_annotation(first, ground_truth=True)
    before = {one["id"]: one for one in place.read(number).annotations}
    assert [before[one]["ground_truth"] for one in (first, second)] == [True, False]
    place.people.change_annotation(second, ground_truth=True)
    after = {one["id"]: one for one in place.read(number).annotations}
    assert [after[one]["ground_truth"] for one in (first, second)] == [False, True]
    assert after[first]["updated_at"] == before[first]["updated_at"]
    place.people.annotate(number, [], ground_truth=True)
    stars = [one["ground_truth"] for one in place.read(number).annotations]
    assert stars.count(True) == 1


def test_projects_tasks_and_annotations_have_numbers_of_their_own(place: Place) -> None:
    """So that one of a server that was set up anew has the number of another before."""
    [task] = place.send("cam-1")
    first = place.people.annotate(task, [BOX])
    place.send("cam-2", "cam-3")
    place.studio.create_project(f"{place.project.title} two", INTERFACE)
    assert place.people.annotate(task, [BOX]) == first + 1
    assert place.send("cam-4") == [task + 3]


def test_changed_tasks_come_in_the_order_of_their_change(place: Place) -> None:
    first, second, _ = place.send("cam-1", "cam-2", "cam-3")
    place.people.annotate(second, [BOX])
    place.people.annotate(first, [])
    assert place.changed() == ["cam-3", "cam-2", "cam-1"]
    assert place.changed(place.read(second)) == ["cam-2", "cam-1"]
    [_, last] = place.studio.list_changed(place.project.id, place.read(second).updated_at)
    assert [annotation["result"] for annotation in last.annotations] == [[]]


def test_tasks_changed_at_one_time_are_all_listed(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "TASKS_PER_PAGE", 3)
    names = [f"cam-{number}" for number in range(12)]
    numbers = place.send(*names)
    for number in numbers[2:10]:
        place.people.annotate(number, [BOX])
    place.people.act(place.project.id, "delete_tasks_annotations", numbers)
    assert len({place.read(number).updated_at for number in numbers[2:10]}) == 1
    listed = place.changed()
    assert sorted(listed, key=str) == sorted(names)
    assert set(listed[4:]) == set(names[2:10])
    since = place.read(numbers[4]).updated_at
    assert set(place.changed(place.read(numbers[4]))) == set(names[2:10])
    rest = place.studio.list_changed(place.project.id, since, numbers[4])
    assert [task.id for task in rest] == numbers[5:10]


def test_task_edited_meanwhile_is_not_passed_over(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "TASKS_PER_PAGE", 3)
    names = [f"cam-{number}" for number in range(8)]
    numbers = place.send(*names)
    listed: list[str | None] = []
    for task in place.studio.list_changed(place.project.id, None):
        if not listed:  # what was read moves to the end, and all after it one place forward
            place.people.annotate(numbers[0], [BOX])
        listed.append(task.image_id)
    assert set(listed) == set(names)


def test_task_changed_while_it_is_listed_comes_as_it_is_then(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "TASKS_PER_PAGE", 1)
    first, second = place.send("cam-1", "cam-2")
    listed = place.studio.list_changed(place.project.id, None)
    assert next(listed).id == first
    place.people.annotate(second, [BOX])
    assert [len(task.annotations) for task in listed if task.id == second][-1:] == [1]


def test_deleted_task_is_gone(place: Place) -> None:
    first, second = place.send("cam-1", "cam-2")
    place.people.delete_task(first)
    assert place.studio.get_task(first) is None
    assert list(place.studio.list_task_ids(place.project.id)) == [(second, "cam-2")]
    assert place.changed() == ["cam-2"]
    assert dict(place.studio.find_tasks(place.project.id, ["cam-1"])) == {}


def test_deleted_project_is_missing(place: Place) -> None:
    studio, number = place.studio, place.project.id
    [task] = place.send("cam-1")
    place.people.delete_project(number)
    assert studio.get_task(task) is None
    for ask in (
        lambda: studio.get_project(number),
        lambda: place.send("cam-2"),
        lambda: list(studio.list_changed(number, None)),
        lambda: list(studio.list_task_ids(number)),
        lambda: studio.find_tasks(number, ["cam-1"]),
        lambda: studio.change_interface(number, INTERFACE),
        lambda: studio.upload(number, "a.jpg", b"\xff\xd8\xff"),
        lambda: studio.ensure_webhook(number, "http://127.0.0.1:9/", {}),
    ):
        with pytest.raises(ProjectMissing):
            ask()
    assert list(studio.find_projects(place.project.title)) == []


def test_upload_gives_an_address_for_a_task(place: Place) -> None:
    first = place.studio.upload(place.project.id, "cam-1.jpg", b"\xff\xd8\xff first")
    second = place.studio.upload(place.project.id, "cam-1.jpg", b"\xff\xd8\xff second")
    assert first != second
    assert first.startswith(f"/data/upload/{place.project.id}/")
    assert list(place.studio.list_task_ids(place.project.id)) == []


def test_outage_ends_without_a_new_client(place: Place, request: pytest.FixtureRequest) -> None:
    if isinstance(place.people, FakeStudio):
        place.people.down = True
        with pytest.raises(StudioUnavailable):
            place.studio.get_project(place.project.id)
        place.people.down = False
        assert place.studio.get_project(place.project.id) == place.project
        return
    server: StudioServer = request.getfixturevalue("own_server")
    with closing(SdkStudio(server.url, server.token)) as studio:
        project = studio.create_project("Traboule", INTERFACE)
        [number] = studio.import_tasks(project.id, [task_of("cam-1")])
        server.kill()
        with pytest.raises(StudioUnavailable):
            studio.get_project(project.id)
        with pytest.raises(StudioUnavailable):
            studio.import_tasks(project.id, [task_of("cam-2")])
        server.start()
        assert studio.get_project(project.id) == project
        [second] = studio.import_tasks(project.id, [task_of("cam-2")])
        assert [task for task, _ in studio.list_task_ids(project.id)] == [number, second]


def test_revoked_token_is_refused(place: Place, request: pytest.FixtureRequest) -> None:
    if isinstance(place.people, FakeStudio):
        place.people.refuses = "does not know the token"
        with pytest.raises(StudioRefused):
            place.studio.get_project(place.project.id)
        return
    server: StudioServer = request.getfixturevalue("own_server")
    token = server.annotator_token
    with (
        closing(SdkStudio(server.url, token)) as studio,
        closing(People(server.url, token)) as person,
    ):
        assert studio.whoami() == "annotator@localhost"
        person.ask("POST", "/api/current-user/reset-token")
        with pytest.raises(StudioRefused, match="revoked") as caught:
            studio.find_projects("Traboule")
    assert token not in str(caught.getrepr())


@pytest.mark.integration
def test_personal_access_token_is_exchanged_until_revoked(own_server: StudioServer) -> None:
    with closing(People(own_server.url, own_server.token)) as people:
        token = people.ask("POST", "/api/token/")["token"]
        access = check_access(own_server.url, token)
        assert access.problem is None
        assert (access.kind, access.user) == (TokenKind.PERSONAL, own_server.username)
        with closing(SdkStudio(own_server.url, token)) as studio:
            project = studio.create_project("Personal", INTERFACE)
            assert len(studio.import_tasks(project.id, [task_of("cam-1")])) == 1
        [listed] = people.ask("GET", "/api/token/")
        people.ask("POST", "/api/token/blacklist/", {"refresh": listed["token"]})
        refused = check_access(own_server.url, token)
    assert refused.problem is not None
    assert "revoked" in refused.problem
    assert token not in refused.problem


@pytest.mark.integration
def test_switched_off_legacy_tokens_are_told(own_server: StudioServer) -> None:
    settings = {"api_tokens_enabled": True, "legacy_api_tokens_enabled": False}
    with closing(People(own_server.url, own_server.token)) as people:
        token = people.ask("POST", "/api/token/")["token"]
        people.ask("POST", "/api/jwt/settings", settings)
        problem = check_access(own_server.url, own_server.token).problem
        with closing(SdkStudio(own_server.url, token)) as studio:
            body = settings | {"legacy_api_tokens_enabled": True}
            studio._ask("POST", "/api/jwt/settings", body=body)
        [listed] = people.ask("GET", "/api/token/")
        people.ask("POST", "/api/token/blacklist/", {"refresh": listed["token"]})
    assert problem is not None
    assert "legacy tokens switched off" in problem


@pytest.mark.integration
def test_token_of_another_server_is_told(studio_server: StudioServer) -> None:
    access = check_access(studio_server.url, "f" * 40)
    assert access.version is not None
    assert access.problem is not None
    assert "another server" in access.problem


@pytest.mark.integration
def test_webhook_is_made_once_and_hints(studio_server: StudioServer) -> None:
    came = threading.Event()

    def answer(received: Received) -> Reply:
        came.set()
        return Reply({})

    with (
        closing(SdkStudio(studio_server.url, studio_server.token)) as studio,
        closing(People(studio_server.url, studio_server.token)) as people,
        running_stub(answer) as stub,
    ):
        project = studio.create_project("Hooked", INTERFACE)
        studio.ensure_webhook(project.id, stub.url + "/hook", {"X-Secret": "old"})
        studio.ensure_webhook(project.id, stub.url + "/hook", {"X-Secret": "new"})
        [number] = studio.import_tasks(project.id, [task_of("cam-1")])
        assert not stub.received  # of our own imports there is nothing to be told
        people.annotate(number, [BOX])
        assert came.wait(60)
    [hint] = stub.received
    assert hint.headers["x-secret"] == "new"
    assert b'"ANNOTATION_CREATED"' in hint.body


@pytest.mark.integration
def test_backend_and_storage_are_made_once(studio_server: StudioServer) -> None:
    with (
        closing(SdkStudio(studio_server.url, studio_server.token)) as studio,
        closing(People(studio_server.url, studio_server.token)) as people,
        running_stub(answer_as_backend_or_bucket) as stub,
    ):
        project = studio.create_project("Backed", INTERFACE)
        for secret in ("old", "new"):
            studio.ensure_backend(project.id, stub.url, "Traboule", ("user", secret))
            storage = SourceStorage("images", stub.url, "key", secret, prefix="cam")
            studio.ensure_storage(project.id, storage)
        [backend] = people.ask("GET", f"/api/ml?project={project.id}")
        [kept] = people.ask("GET", f"/api/storages/s3?project={project.id}")
    assert (backend["url"], backend["basic_auth_user"]) == (stub.url, "user")
    assert (kept["bucket"], kept["prefix"], kept["presign"]) == ("images", "cam", False)
    assert kept["use_blob_urls"] is True


def answer_as_backend_or_bucket(received: Received) -> Reply:
    if received.path.startswith("/images"):
        listing = (
            b'<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            b"<Name>images</Name><KeyCount>1</KeyCount><MaxKeys>1</MaxKeys>"
            b"<IsTruncated>false</IsTruncated><Contents><Key>cam/a.jpg</Key>"
            b"<LastModified>2026-01-01T00:00:00.000Z</LastModified><Size>1</Size></Contents>"
            b"</ListBucketResult>"
        )
        body = b"" if received.method == "HEAD" else listing
        return Reply(body, headers=(("Content-Type", "application/xml"),))
    return Reply({"status": "UP", "model_version": "stub"})
