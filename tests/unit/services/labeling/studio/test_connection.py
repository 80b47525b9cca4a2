from __future__ import annotations

import codecs
from collections.abc import Mapping, Sequence

import pytest

from pipeline.catalog.labeling.tasks import TaskState
from pipeline.errors import CatalogError
from services.labeling.receiving import comparing
from services.labeling.studio import connection
from services.labeling.studio.failures import StudioRefused, StudioUnavailable
from services.labeling.studio.protocol import NewStudioTask
from services.labeling.tasks import SENDING
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
    trip.follow()
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


def test_project_of_another_that_has_our_number_is_left_alone(trip: RoundTrip) -> None:
    """After that Label Studio was set up anew."""
    trip.push()
    ours = trip.project
    trip.studio = FakeStudio(clock=lambda: NOW)
    theirs = trip.studio.create_project("Cats and dogs", ours.interface)
    assert (theirs.id, theirs.key == ours.key) == (ours.id, False)
    trip.restart()
    trip.detect()
    trip.push()
    assert trip.studio.tasks == {}
    row = trip.workspace.catalog.labeling_projects.get(ours.key)
    assert row is not None and "traboule labels connect" in row.reason


def test_sessions_of_a_failing_studio_pause_for_longer_and_longer(trip: RoundTrip) -> None:
    trip.studio.down = True
    asked = []
    for _ in range(200):
        before = trip.studio.requests.get("find_projects", 0)
        trip.push()
        if trip.studio.requests.get("find_projects", 0) > before:
            asked.append((trip.now - NOW).total_seconds())
        trip.wait(1)
    assert asked == [0, 5, 15, *range(35, 200, 20)]


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


def test_studio_is_closed_with_its_connection_or_where_there_is_another_token(
    trip: RoundTrip,
) -> None:
    trip.push()
    trip.studio.down = True
    trip.follow()
    trip.studio.down = False
    trip.wait(60)
    trip.follow()
    assert (trip.studio.closed, trip.tokens) == (0, [TOKEN])
    trip.token_file.write_text("another-token")
    trip.studio.refuses = "403: may not do that"
    trip.follow()
    trip.studio.refuses = None
    trip.wait(60)
    trip.follow()
    assert (trip.studio.closed, trip.tokens) == (1, [TOKEN, "another-token"])
    trip.context.connection.close()
    assert trip.studio.closed == 2


class Picky(FakeStudio):
    """It can be asked anything but to take images, and calls nobody while `deaf`, or while it
    `hurts`."""

    takes_images = True
    deaf = False
    hurts = False

    def import_tasks(self, project_id: int, tasks: Sequence[NewStudioTask]) -> Sequence[int]:
        if not self.takes_images:
            raise StudioUnavailable("no answer in 20 s")
        return super().import_tasks(project_id, tasks)

    def ensure_webhook(self, project_id: int, url: str, headers: Mapping[str, str]) -> None:
        if self.deaf:
            raise StudioRefused("400: nobody is there")
        if self.hurts:
            raise StudioUnavailable("500: it hurts")
        super().ensure_webhook(project_id, url, headers)


@pytest.fixture
def picky(trip: RoundTrip) -> Picky:
    trip.studio = studio = Picky()
    trip.restart()
    return studio


def test_work_that_fails_is_not_hidden_by_other_work_that_does_not(
    trip: RoundTrip, picky: Picky
) -> None:
    trip.push()
    picky.takes_images = False
    image = trip.detect()
    trip.wait(60)
    trip.push()
    trip.follow()
    assert trip.reason == "no answer in 20 s"
    assert trip.context.connection.reason == trip.reason
    picky.takes_images = True
    trip.wait(400)  # its claim has run out
    trip.push()
    assert (trip.reason, len(trip.tasks_of(image))) == ("", 1)


def test_work_that_fails_does_not_keep_other_work_from_its_turn(
    trip: RoundTrip, picky: Picky
) -> None:
    image = trip.detect()
    trip.push()
    trip.studio.annotate(trip.task_of(image), [box()])
    picky.takes_images = False
    trip.ask(trip.detect())
    for _ in range(20):
        trip.wait(20)
        trip.push()
        trip.follow()
    assert trip.statuses(image) == ["labelled"]


def test_outage_that_is_over_is_over_for_all_work(trip: RoundTrip) -> None:
    trip.push()
    trip.studio.down = True
    trip.push()
    trip.follow()
    trip.studio.down = False
    trip.wait(60)
    trip.follow()
    assert trip.reason == ""


def test_what_could_not_be_set_up_is_tried_again_soon_and_told_meanwhile(
    trip: RoundTrip, picky: Picky
) -> None:
    picky.deaf = True
    trip.set(webhook_url="http://traboule.test/webhook")
    trip.follow()
    told = "its webhook could not be set up: 400: nobody is there"
    assert trip.notes == [told]
    trip.follow()
    assert picky.requests.get("ensure_webhook", 0) == 0
    picky.deaf = False
    trip.wait(61)
    trip.follow()
    assert picky.webhooks[trip.project.id][0][0] == "http://traboule.test/webhook"
    assert trip.notes == []


def test_what_was_taken_away_or_changed_is_set_up_again(trip: RoundTrip) -> None:
    trip.set(webhook_url="http://traboule.test/webhook")
    trip.follow()
    for _ in range(100):
        trip.wait(5)
        trip.follow()
    assert trip.studio.requests["ensure_webhook"] == 1
    trip.studio.webhooks.clear()
    secret = trip.settings.webhook_secret_file
    assert secret is not None
    secret.write_text("another")
    trip.wait(100)
    trip.follow()
    [(_, headers)] = trip.studio.webhooks[trip.project.id]
    assert headers == {"X-Traboule-Secret": "another"}


def test_token_file_is_read_as_connect_reads_it(trip: RoundTrip) -> None:
    trip.token_file.write_bytes(codecs.BOM_UTF8 + TOKEN.encode() + b"\r\n")
    trip.push()
    assert trip.tokens == [TOKEN]


def test_studio_without_our_project_is_closed_as_well(trip: RoundTrip) -> None:
    trip.studio.refuses = "401: who are you?"
    trip.push()
    trip.context.connection.close()
    assert trip.studio.closed == 1


def test_comparison_goes_on_while_sending_fails(
    trip: RoundTrip, picky: Picky, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparing, "AT_ONCE", 1)
    images = [trip.detect() for _ in range(6)]
    trip.push()
    trip.set(run_s=0)
    trip.follow()
    picky.takes_images = False
    picky.delete_task(trip.task_of(images[0]))
    trip.wait(601)
    for _ in range(30):
        trip.follow()
        with trip.context.connection.session(SENDING) as connected:
            if connected is not None:
                raise StudioUnavailable("no answer in 20 s")
        trip.wait(25)
    assert trip.row(images[0]).state == TaskState.GONE


def test_what_the_project_has_is_not_set_up_again_after_every_failure(trip: RoundTrip) -> None:
    trip.set(webhook_url="http://traboule.test/webhook")
    trip.follow()
    for _ in range(5):
        trip.studio.down = True
        trip.follow()
        trip.studio.down = False
        trip.wait(60)
        trip.follow()
    assert trip.studio.requests["ensure_webhook"] == 1


def test_setting_up_that_is_cut_off_does_not_come_first_again(
    trip: RoundTrip, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(*_: object) -> Sequence[str]:
        raise StudioUnavailable("no time was left")

    monkeypatch.setattr(connection, "equip", cut_off)
    image = trip.detect()
    trip.push()
    trip.wait(5)
    trip.push()
    assert len(trip.tasks_of(image)) == 1


def test_what_cannot_be_set_up_since_the_server_fails_stops_nothing_else(
    trip: RoundTrip, picky: Picky
) -> None:
    picky.hurts = True
    trip.set(webhook_url="http://traboule.test/webhook")
    image = trip.detect()
    trip.push()
    assert len(trip.tasks_of(image)) == 1
    assert trip.notes == ["its webhook could not be set up: 500: it hurts"]


@pytest.mark.parametrize("fails", [False, True])
def test_what_was_mended_meanwhile_is_told_no_more(
    trip: RoundTrip, picky: Picky, fails: bool
) -> None:
    picky.deaf = True
    trip.set(webhook_url="http://traboule.test/webhook")
    trip.follow()
    project = trip.project.key
    trip.workspace.catalog.labeling_projects.note(project, [*trip.notes, "somebody else's"])
    picky.deaf = False
    trip.wait(61)
    if fails:
        picky.down = True
        trip.follow()
        picky.down = False
        trip.wait(61)
    else:
        trip.restart()
    trip.push()
    assert trip.notes == ["somebody else's"]


def test_project_that_a_person_connects_meanwhile_is_taken(trip: RoundTrip) -> None:
    trip.push()
    old, projects = trip.project, trip.workspace.catalog.labeling_projects
    trip.wait(5)
    with trip.context.connection.session():
        trip.wait(5)
        new = trip.studio.create_project("Traboule", old.interface)
        projects.contacted(new.key, trip.now)  # as labels connect does
        trip.wait(5)
    trip.push()
    assert trip.context.connection.project == new.key
    known = {row.project: row.contacted_at for row in projects.all()}
    assert (known[old.key], known[new.key]) == (NOW, trip.now)


def test_project_of_another_title_is_left_to_whoever_connected_it(trip: RoundTrip) -> None:
    """As where a person connects it in a data folder where a run is at work."""
    trip.push()
    ours, projects = trip.project, trip.workspace.catalog.labeling_projects
    trip.wait(5)
    other = trip.studio.create_project("Trams", ours.interface)
    projects.contacted(other.key, trip.now)
    for _ in range(3):
        trip.wait(5)
        trip.push()
    assert trip.context.connection.project == ours.key
    assert trip.studio.requests["find_projects"] == 2
