"""A real Label Studio that goes away, lies, forgets us or loses our project, under one process of
ours that is never started again: nothing is lost, nothing is sent twice."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests

from pipeline.annotations import CLASSES
from pipeline.catalog.labeling.tasks import TaskState
from pipeline.labels.interface import write_interface
from pipeline.storage import ObjectStore
from services.labeling import client
from services.labeling.receiving.comparing import compare_now
from tests.label_studio import People, StudioServer, make_template, start_label_studio
from tests.round_trip import RoundTrip, box, open_trip
from tests.stub_studio import Received, Reply, Stub, running_stub
from traboule.labels.connecting import Asked, connect

pytestmark = pytest.mark.integration

PAGE = b"<!doctype html><html><title>Be right back</title></html>"


class Between:
    """A proxy before a Label Studio: it passes requests on, unless it was told to spoil them.

    `spoil` is asked with what was received, and the real answer where `is_late`: then Label Studio
    did what it was asked, and nobody hears of it.
    """

    def __init__(self, server: StudioServer) -> None:
        self._server = server
        self._session = requests.Session()
        self._session.trust_env = False
        self.spoil: Callable[[Received], Reply | None] = lambda received: None
        self.is_late = False
        self.spoiled = 0

    def answer(self, received: Received) -> Reply:
        spoiled = self.spoil(received)
        if spoiled is not None and not self.is_late:
            self.spoiled += 1
            return spoiled
        reply = self._pass_on(received)
        if spoiled is not None:
            self.spoiled += 1
            return spoiled
        return reply

    def _pass_on(self, received: Received) -> Reply:
        kept = ("authorization", "content-type")
        answer = self._session.request(
            received.method,
            self._server.url + received.path,
            data=received.body,
            headers={name: received.headers[name] for name in kept if name in received.headers},
            allow_redirects=False,
            timeout=60,
        )
        kind = ("Content-Type", answer.headers.get("Content-Type", "text/html"))
        return Reply(answer.content, answer.status_code, (kind,))

    def close(self) -> None:
        self._session.close()


@pytest.fixture(scope="module")
def own_server() -> Iterator[StudioServer]:
    """Not the shared one: here it is killed, and tokens are reset."""
    with start_label_studio() as server:
        yield server


@pytest.fixture
def people(own_server: StudioServer) -> Iterator[People]:
    with closing(People(own_server.url, own_server.token)) as people:
        yield people


@pytest.fixture
def between(own_server: StudioServer) -> Iterator[Between]:
    with closing(Between(own_server)) as between:
        yield between


@pytest.fixture
def proxy(between: Between) -> Iterator[Stub]:
    with running_stub(between.answer) as stub:
        yield stub


def revive(server: StudioServer) -> None:
    """A test before this one may have failed while it was away."""
    try:
        requests.get(f"{server.url}/health", timeout=60)
    except requests.ConnectionError:
        server.start()


@pytest.fixture
def trip(tmp_path: Path, own_server: StudioServer) -> Iterator[RoundTrip]:
    revive(own_server)
    with open_trip(tmp_path, own_server) as trip:
        yield trip


def key_of(trip: RoundTrip) -> str:
    key = trip.context.connection.project
    assert key is not None
    return key


def tasks_of(trip: RoundTrip, people: People) -> dict[str, int]:
    """By image, in the project that is ours now; none has two."""
    number = number_of(key_of(trip))
    listed = people.ask("GET", f"/api/tasks?project={number}&page_size=100")["tasks"]
    found = {task["data"]["image_id"]: task["id"] for task in listed}
    assert len(found) == len(listed), "an image has two tasks"
    return found


def sent_of(trip: RoundTrip) -> dict[str, int]:
    return trip.workspace.catalog.labeling.count_by_state(key_of(trip))


def number_of(key: str) -> int:
    """A project's."""
    return int(key.rpartition("#")[2].partition("@")[0])


@contextmanager
def two_databases(folder: Path) -> Iterator[tuple[StudioServer, StudioServer]]:
    """Two servers of one address and one token, the first of which is at work."""
    with start_label_studio() as server:
        shutil.copytree(make_template(server.program), folder)
        other = StudioServer(server.program, folder, server.port)
        try:
            yield server, other
        finally:
            other.stop()


class FatalStore:
    """Something happens while the nth object is stored."""

    def __init__(self, store: ObjectStore, nth: int, happens: Callable[[], None]) -> None:
        self._store = store
        self._left = nth
        self._happens = happens

    def __getattr__(self, name: str) -> Any:
        if name == "put":
            self._left -= 1
            if self._left == 0:
                self._happens()
        return getattr(self._store, name)


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_label_studio_that_restarts_while_it_is_followed_loses_nothing(
    trip: RoundTrip,
    people: People,
    own_server: StudioServer,
    monkeypatch: pytest.MonkeyPatch,
    end: str,
) -> None:
    monkeypatch.setattr(client, "TASKS_PER_PAGE", 4)
    images = [trip.detect() for _ in range(12)]
    trip.push()
    for task in tasks_of(trip, people).values():
        people.annotate(task, [box()])
    fatal = FatalStore(trip.context.store, 6, getattr(own_server, end))
    trip.context = replace(trip.context, store=fatal)
    trip.follow()
    stored = [image for image in images if trip.statuses(image)]
    assert 6 <= len(stored) < len(images), "what was read before it went away"
    assert "cannot be reached" in trip.reason
    trip.wait(10)
    trip.follow()
    trip.push()
    assert "cannot be reached" in trip.reason, "still away, and told so"
    own_server.start()
    trip.wait(60)
    trip.follow()
    assert [trip.statuses(image) for image in images] == [["labelled"]] * len(images)
    assert trip.reason == ""


def html(received: Received) -> Reply:
    return Reply(PAGE, 502, (("Content-Type", "text/html"),))


ILLS: dict[str, Callable[[Received], Reply | None]] = {
    "500": lambda received: Reply({"detail": "server error"}, 500),
    "502 with a page": html,
    "200 with a page": lambda received: Reply(PAGE, 200, (("Content-Type", "text/html"),)),
    "sign-in": lambda received: Reply(b"", 302, (("Location", "/user/login/?next=/"),)),
    "someone else's JSON": lambda received: Reply({"hello": "world"}),
    "nothing": lambda received: Reply(b""),
    "a closed connection": lambda received: Reply(cut=True),
    "half an answer": lambda received: Reply(b'{"tasks": [{"id": 1, "da'),
    "busy": lambda received: Reply({"detail": "slow down"}, 429),
    "forbidden": lambda received: Reply({"detail": "not yours"}, 403),
}
# Not a refusal, which nobody says of what was taken.
LOST = ("502 with a page", "someone else's JSON", "a closed connection", "half an answer")


@pytest.mark.parametrize("ill", ILLS)
def test_label_studio_that_answers_badly_is_told_and_got_over(
    trip: RoundTrip, people: People, between: Between, proxy: Stub, ill: str
) -> None:
    trip.set(url=proxy.url)
    first = trip.detect()
    trip.push()
    people.annotate(tasks_of(trip, people)[first], [box()])
    second = trip.detect()
    between.spoil = ILLS[ill]
    for _ in range(3):
        trip.push()
        trip.follow()
        assert trip.reason != ""
        trip.wait(60)
    assert between.spoiled >= 3
    assert trip.tokens[0] not in trip.reason
    assert trip.statuses(first) == []
    between.spoil = lambda received: None
    trip.wait(400)
    trip.push()
    trip.follow()
    assert trip.reason == ""
    assert trip.statuses(first) == ["labelled"]
    assert tasks_of(trip, people).keys() == {first, second}
    assert sent_of(trip) == {TaskState.SENT: 2}


@pytest.mark.parametrize("ill", LOST)
def test_import_whose_answer_is_lost_is_not_made_twice(
    trip: RoundTrip, people: People, between: Between, proxy: Stub, ill: str
) -> None:
    trip.set(url=proxy.url)
    trip.push()
    images = {trip.detect() for _ in range(3)}
    between.is_late = True
    between.spoil = lambda received: ILLS[ill](received) if "/import" in received.path else None
    trip.push()
    assert between.spoiled >= 1
    assert tasks_of(trip, people).keys() == images, "Label Studio took them"
    between.spoil = lambda received: None
    for _ in range(3):
        trip.wait(400)
        trip.push()
        trip.follow()
    assert tasks_of(trip, people).keys() == images
    assert sent_of(trip) == {TaskState.SENT: 3}
    assert trip.reason == ""


def test_token_that_is_revoked_and_renewed_in_its_file_needs_no_restart(
    trip: RoundTrip, people: People, own_server: StudioServer
) -> None:
    trip.token_file.write_text(own_server.annotator_token)
    first = trip.detect()
    trip.push()
    with closing(People(own_server.url, own_server.annotator_token)) as annotator:
        renewed = str(annotator.ask("POST", "/api/current-user/reset-token")["token"])
    own_server.annotator_token, revoked = renewed, own_server.annotator_token
    people.annotate(tasks_of(trip, people)[first], [box()])
    second = trip.detect()
    trip.follow()
    trip.push()
    assert "revoked" in trip.reason
    assert revoked not in trip.reason
    assert trip.statuses(first) == []
    trip.token_file.write_text(f"{renewed}\n")
    trip.wait(60)
    trip.follow()
    trip.push()
    assert trip.reason == ""
    assert trip.statuses(first) == ["labelled"]
    assert tasks_of(trip, people).keys() == {first, second}


def test_project_that_is_deleted_is_made_anew_by_hand_without_a_restart(
    trip: RoundTrip, people: People, own_server: StudioServer
) -> None:
    first = trip.detect()
    trip.push()
    deleted = key_of(trip)
    people.annotate(tasks_of(trip, people)[first], [box()])
    trip.follow()
    people.delete_project(number_of(deleted))
    second = trip.detect()
    for _ in range(3):
        trip.push()
        trip.follow()
        trip.wait(60)
    assert "traboule labels connect" in trip.reason
    assert trip.statuses(first) == ["labelled"], "what was said stays"
    assert people.ask("GET", f"/api/projects/?title={trip.settings.project}")["results"] == []

    connect(
        trip.workspace,
        Asked(own_server.url, trip.token_file, trip.settings.project),
    )
    trip.wait(60)
    trip.push()
    trip.follow()
    assert trip.context.connection.reason == ""
    assert key_of(trip) != deleted
    there = tasks_of(trip, people)
    assert second in there
    people.annotate(there[second], [box("bus")])
    trip.follow()
    assert trip.statuses(second) == ["labelled"]
    trip.ask(first)
    trip.push()
    assert tasks_of(trip, people).keys() == {first, second}
    assert trip.statuses(first) == ["labelled"]


@pytest.mark.parametrize("there", ["nothing", "a project of our title", "a project of another"])
def test_database_that_is_set_up_anew_deletes_nothing_and_what_to_do_is_told(
    tmp_path: Path, there: str
) -> None:
    (tmp_path / "data").mkdir()
    with (
        two_databases(tmp_path / "anew") as (before, anew),
        open_trip(tmp_path / "data", before) as trip,
        closing(People(before.url, before.token)) as people,
    ):
        images = [trip.detect() for _ in range(12)]
        trip.push()
        for task in tasks_of(trip, people).values():
            people.annotate(task, [box()])
        trip.follow()
        former = key_of(trip)
        before.kill()
        anew.start()
        title = {"nothing": None, "a project of our title": trip.settings.project}.get(
            there, "Cats"
        )
        if title:
            config = {"title": title, "label_config": write_interface(CLASSES)}
            assert people.ask("POST", "/api/projects/", config)["id"] == number_of(former)
        for _ in range(3):
            trip.follow()
            trip.wait(700)
            trip.push()
        if there != "a project of our title":
            assert "another database" in trip.reason
            assert "traboule labels connect" in trip.reason
            made = people.ask("GET", "/api/projects/")["results"]
            assert [project["title"] for project in made] == ([title] if title else [])
            assert sum(project["task_number"] for project in made) == 0
            connect(trip.workspace, Asked(before.url, trip.token_file, trip.settings.project))
            trip.wait(60)
            trip.push()
        trip.wait(700)
        trip.follow()
        assert key_of(trip) != former
        assert tasks_of(trip, people).keys() == set(images), "they are sent to the new one"
        assert [trip.statuses(image) for image in images] == [["labelled"]] * 12
        sent = trip.workspace.catalog.labeling.count_by_state(former)
        assert sent == {TaskState.SENT: 12}


def test_database_that_is_put_back_brings_back_what_was_said_in_it(tmp_path: Path) -> None:
    """An older one, with less in it, and then the right one again."""
    (tmp_path / "data").mkdir()
    with (
        two_databases(tmp_path / "older") as (whole, older),
        open_trip(tmp_path / "data", whole) as trip,
        closing(People(whole.url, whole.token)) as people,
    ):
        trip.push()
        whole.kill()
        shutil.rmtree(older.folder)
        shutil.copytree(whole.folder, older.folder)
        whole.start()
        trip.wait(60)
        images = [trip.detect() for _ in range(12)]
        trip.push()
        tasks = tasks_of(trip, people)
        for task in tasks.values():
            people.annotate(task, [box()])
        trip.follow()
        whole.kill()
        older.start()
        for _ in range(2):
            trip.wait(700)
            trip.follow()
        row = trip.workspace.catalog.labeling_projects.get(key_of(trip))
        assert row is not None
        assert row.notes[0].startswith("12 of 12 labeling tasks are missing")
        assert [trip.statuses(image) for image in images] == [["labelled"]] * 12
        with trip.context.connection.session() as connected:
            assert connected is not None
            compare_now(trip.context, connected, accept_deletions=True)
        assert sent_of(trip) == {TaskState.GONE: 12}
        older.kill()
        whole.start()
        trip.wait(700)
        trip.follow()
        assert (sent_of(trip), trip.reason) == ({TaskState.SENT: 12}, "")
        said = ["labelled", "deleted", "labelled"]
        assert [trip.statuses(image) for image in images] == [said] * 12
        trip.ask(*images)
        trip.push()
        assert tasks_of(trip, people) == tasks


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [("$image", "$picture"), ("</View>", '<Text name="n" value="$note"/></View>')],
)
def test_interface_that_asks_for_what_no_task_has_fails_no_image(
    trip: RoundTrip, people: People, ours: str, theirs: str
) -> None:
    trip.push()
    path = f"/api/projects/{number_of(key_of(trip))}/"
    interface = people.ask("GET", path)["label_config"]
    people.ask("PATCH", path, {"label_config": interface.replace(ours, theirs)})
    images = {trip.detect(), trip.detect()}
    trip.push()
    assert "the labeling interface asks for $" in trip.reason
    assert "signature" not in trip.reason
    assert sent_of(trip) == {TaskState.WAITING: 2}
    people.ask("PATCH", path, {"label_config": interface})
    trip.wait(400)
    trip.push()
    assert tasks_of(trip, people).keys() == images
    assert trip.reason == ""
