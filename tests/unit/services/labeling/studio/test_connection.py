from __future__ import annotations

import pytest

from pipeline.errors import CatalogError
from services.labeling.studio.failures import StudioRefused
from tests.fake_studio import FakeStudio
from tests.round_trip import NOW, TOKEN, RoundTrip, box


def test_studio_that_is_down_is_noted_left_alone_and_come_back_to(trip: RoundTrip) -> None:
    image = trip.detect()
    trip.push()
    trip.studio.down = True
    trip.studio.annotate(trip.task_of(image), [box()])
    trip.wait(15)
    for _ in range(100):
        trip.follow()
        trip.push()
        trip.wait(5)
    asked = sum(trip.studio.requests.values())
    assert trip.reason == f"{trip.studio.url} does not answer"
    trip.studio.down = False
    trip.wait(60)
    trip.follow()
    assert asked < 40, "not every five seconds"
    assert trip.statuses(image) == ["labelled"]
    assert trip.reason == ""


def test_studio_that_was_never_reached_says_why(trip: RoundTrip) -> None:
    trip.studio.down = True
    image = trip.detect()
    trip.push()
    [row] = trip.workspace.catalog.labeling_projects.all()
    assert row.reason == f"{trip.studio.url} does not answer"
    assert trip.context.connection.project is None
    trip.studio.down = False
    trip.wait(60)
    trip.push()
    assert len(trip.tasks_of(image)) == 1


def test_revoked_token_is_replaced_without_a_restart(trip: RoundTrip) -> None:
    trip.push()
    trip.studio.refuses = "401: invalid token"
    trip.follow()
    assert "invalid token" in trip.reason
    trip.token_file.write_text("another-token")
    trip.studio.refuses = None
    trip.wait(60)
    trip.push()
    assert trip.tokens == [TOKEN, "another-token"]
    assert trip.reason == ""


@pytest.mark.parametrize("content", [None, "", "\n"])
def test_token_file_that_is_no_good_is_named_and_read_again(
    trip: RoundTrip, content: str | None
) -> None:
    if content is None:
        trip.token_file.unlink()
    else:
        trip.token_file.write_text(content)
    trip.push()
    [row] = trip.workspace.catalog.labeling_projects.all()
    assert str(trip.token_file) in row.reason
    trip.token_file.write_text(TOKEN)
    trip.wait(10)
    trip.push()
    assert trip.tokens == [TOKEN]


def test_project_is_remembered_without_asking(trip: RoundTrip) -> None:
    trip.push()
    trip.restart()
    asked = dict(trip.studio.requests)
    assert trip.context.connection.project == trip.project.key
    assert trip.studio.requests == asked


def test_project_deleted_by_hand_is_not_made_anew_in_silence(trip: RoundTrip) -> None:
    image = trip.detect()
    trip.push()
    trip.studio.annotate(trip.task_of(image), [box()])
    trip.follow()
    old = trip.project
    trip.studio.delete_project(old.id)
    trip.follow()
    for _ in range(3):
        trip.wait(60)
        trip.restart()
        trip.push()
    assert trip.studio.projects == {}
    row = trip.workspace.catalog.labeling_projects.get(old.key)
    assert row is not None
    assert "was deleted there" in row.reason and "traboule labels connect" in row.reason
    assert trip.statuses(image) == ["labelled"], "what came back stays"
    new = trip.studio.create_project("Traboule", old.interface)
    trip.wait(60)
    trip.push()
    assert trip.context.connection.project == new.key
    assert len(trip.tasks_of(image)) == 1, "in the new one"


def test_sessions_of_a_failing_studio_pause_for_longer_and_longer(trip: RoundTrip) -> None:
    trip.studio.down = True
    opened = []
    for _ in range(200):
        before = len(trip.tokens)
        trip.push()
        if len(trip.tokens) > before:
            opened.append((trip.now - NOW).total_seconds())
        trip.wait(1)
    assert opened == [0, 5, 15, *range(35, 200, 20)]


def test_what_fails_besides_label_studio_is_not_its_fault(trip: RoundTrip) -> None:
    trip.push()
    with pytest.raises(CatalogError), trip.context.connection.session():
        raise CatalogError("the catalog did not answer")
    assert trip.reason == ""


def test_session_ends_quietly_where_label_studio_fails(trip: RoundTrip) -> None:
    with trip.context.connection.session() as connected:
        assert connected is not None
        raise StudioRefused("403: not for you")
    assert trip.reason == "403: not for you"
    with trip.context.connection.session() as connected:
        assert connected is None


def test_studio_that_is_given_up_is_closed(trip: RoundTrip) -> None:
    class Closing(FakeStudio):
        closed = 0

        def close(self) -> None:
            self.closed += 1

    trip.studio = studio = Closing()
    trip.restart()
    trip.push()
    assert studio.closed == 0
    studio.down = True
    trip.follow()
    assert studio.closed == 1
