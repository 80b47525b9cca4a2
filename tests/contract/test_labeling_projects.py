from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pipeline.catalog import Catalog

HERE, THERE = "http://127.0.0.1:8080#3", "http://127.0.0.1:8080#4"
NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
LATER = NOW + timedelta(seconds=60)


def test_project_has_no_row_until_something_is_said_of_it(catalog: Catalog) -> None:
    assert catalog.labeling_projects.get(HERE) is None
    assert catalog.labeling_projects.all() == []
    catalog.labeling_projects.failed(HERE, "no answer")
    [row] = catalog.labeling_projects.all()
    assert (row.reason, row.notes, row.contacted_at, row.followed_to) == (
        "no answer",
        [],
        None,
        None,
    )


def test_each_thing_said_leaves_the_others(catalog: Catalog) -> None:
    projects = catalog.labeling_projects
    projects.contacted(HERE, NOW)
    projects.follow(HERE, NOW)
    projects.compared(HERE, LATER)
    projects.note(HERE, ["the class bus was removed"])
    projects.failed(HERE, "the token was refused")
    projects.contacted(THERE, LATER)
    row = projects.get(HERE)
    assert row is not None
    assert (row.contacted_at, row.followed_to, row.compared_at) == (NOW, NOW, LATER)
    assert (row.reason, row.notes) == ("the token was refused", ["the class bus was removed"])
    assert [one.project for one in projects.all()] == [HERE, THERE]


def test_server_that_failed_before_its_project_was_known_is_forgotten(catalog: Catalog) -> None:
    projects = catalog.labeling_projects
    for server in ("http://127.0.0.1:8080#", "http://127.0.0.1:80#"):
        projects.failed(server, "no answer")
    projects.contacted(HERE, NOW)
    assert [one.project for one in projects.all()] == ["http://127.0.0.1:80#", HERE]


def test_contact_ends_the_failure_and_a_note_replaces_the_last(catalog: Catalog) -> None:
    projects = catalog.labeling_projects
    projects.failed(HERE, "no answer")
    projects.note(HERE, ["one", "two"])
    projects.contacted(HERE, NOW)
    projects.note(HERE, [])
    row = projects.get(HERE)
    assert row is not None
    assert (row.reason, row.notes, row.contacted_at) == ("", [], NOW)


def test_notes_of_one_kind_are_replaced_and_the_others_stay(catalog: Catalog) -> None:
    projects = catalog.labeling_projects
    projects.note(HERE, ["a: old", "b"])
    projects.renote(HERE, ["a: new"], lambda note: note.startswith("a: "))
    row = projects.get(HERE)
    assert row is not None
    assert row.notes == ["a: new", "b"]
    projects.renote(THERE, [], lambda note: True)
    assert projects.get(THERE) is None, "nothing was to be said of it"
