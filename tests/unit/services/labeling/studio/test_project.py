from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline.annotations import CLASSES
from pipeline.labels.interface import read_interface
from services.labeling.settings import ImageAccess, LabelingSettings
from services.labeling.studio.failures import ProjectMissing, StudioRefused, StudioUnavailable
from services.labeling.studio.project import (
    SECRET_HEADER,
    equip,
    find_project,
    make_project,
    tells_problem,
)
from tests.fake_studio import FakeStudio

SETTINGS = LabelingSettings(url="http://studio.test:8080")


def test_project_is_made_once_with_the_pinned_classes() -> None:
    studio = FakeStudio()
    made = find_project(studio, SETTINGS)
    assert made.title == "Traboule"
    assert read_interface(made.interface).classes == CLASSES
    assert find_project(studio, SETTINGS) == made
    assert find_project(studio, SETTINGS, [made.key]) == made
    assert len(studio.projects) == 1


def test_of_several_the_one_we_know_is_ours_else_the_oldest() -> None:
    studio = FakeStudio()
    oldest, newer = (make_project(studio, SETTINGS) for _ in range(2))
    assert find_project(studio, SETTINGS) == oldest
    assert find_project(studio, SETTINGS, [newer.key]) == newer


def test_project_renamed_by_hand_is_still_ours() -> None:
    studio = FakeStudio()
    renamed = studio.create_project("Our cars", "<View/>")
    assert find_project(studio, SETTINGS, [renamed.key]) == renamed
    assert len(studio.projects) == 1


def test_project_renamed_by_hand_is_ours_beside_a_new_one_of_its_former_title() -> None:
    studio = FakeStudio()
    renamed = studio.create_project("Our cars", "<View/>")
    new = make_project(studio, SETTINGS)
    assert find_project(studio, SETTINGS, [renamed.key]) == renamed
    assert find_project(studio, SETTINGS) == new, "where a person connects it"
    assert find_project(studio, SETTINGS, [new.key, renamed.key]) == new
    assert find_project(studio, SETTINGS, [renamed.key, new.key]) == new, "once it was"


def test_another_project_of_the_number_that_we_know_is_not_ours() -> None:
    """As where Label Studio was set up anew."""
    before, studio = FakeStudio(), FakeStudio()
    known = make_project(before, SETTINGS)
    at = known.created_at + timedelta(days=1)
    stranger = FakeStudio(clock=lambda: at).create_project("Cats", "<View/>")
    studio.projects[stranger.id] = stranger
    assert stranger.id == known.id
    with pytest.raises(ProjectMissing, match="another database"):
        find_project(studio, SETTINGS, [known.key])
    assert list(studio.projects.values()) == [stranger]


def test_project_deleted_by_hand_stays_deleted() -> None:
    studio = FakeStudio()
    with pytest.raises(ProjectMissing, match="traboule labels connect"):
        find_project(studio, SETTINGS, ["http://studio.test:8080#3@20261121T080000Z"])
    assert studio.projects == {}


def test_project_is_not_made_where_the_settings_say_no() -> None:
    studio = FakeStudio()
    with pytest.raises(StudioRefused, match="there is no project 'Traboule'"):
        find_project(studio, SETTINGS.model_copy(update={"create_project": False}))
    assert studio.projects == {}


def full_settings(folder: Path, **others: Any) -> LabelingSettings:
    for name in ("s3", "webhook", "backend"):
        (folder / name).write_text(f"{name} word\n")
    return LabelingSettings(
        url="http://studio.test:8080",
        images=ImageAccess.S3,
        s3_endpoint="http://object-store:9000",
        s3_secret_file=folder / "s3",
        webhook_url="http://labeling:8300/webhook",
        webhook_secret_file=folder / "webhook",
        backend_url="http://detection:8400",
        backend_password_file=folder / "backend",
        **others,
    )


def test_project_is_equipped_and_again_changes_nothing(tmp_path: Path) -> None:
    studio = FakeStudio()
    made = make_project(studio, SETTINGS)
    for _ in range(2):
        assert equip(studio, full_settings(tmp_path), made) == []
    assert studio.webhooks[made.id] == [
        ("http://labeling:8300/webhook", {SECRET_HEADER: "webhook word"})
    ]
    assert studio.backends[made.id] == (
        "http://detection:8400",
        "Traboule",
        ("label-studio", "backend word"),
    )
    storage = studio.storages[made.id]
    assert (storage.bucket, storage.endpoint) == ("images", "http://object-store:9000")
    assert storage.secret_key == "s3 word"
    assert "s3 word" not in repr(storage)


def test_project_is_given_nothing_the_settings_do_not_name() -> None:
    studio = FakeStudio()
    made = make_project(studio, SETTINGS)
    assert equip(studio, SETTINGS, made) == []
    assert (studio.webhooks, studio.storages, studio.backends) == ({}, {}, {})


def test_what_cannot_be_set_up_is_told_and_the_rest_is(tmp_path: Path) -> None:
    class Guarded(FakeStudio):
        def ensure_webhook(self, *_: object) -> None:
            raise StudioRefused("403: URL resolves to a reserved network address")

    studio = Guarded()
    made = make_project(studio, SETTINGS)
    settings = full_settings(tmp_path)
    (tmp_path / "backend").unlink()
    hook, backend = equip(studio, settings, made)
    assert hook == (
        "its webhook could not be set up: 403: URL resolves to a reserved network address"
    )
    assert backend.startswith("its ML backend could not be set up: cannot read")
    assert made.id in studio.storages


def test_what_makes_the_server_fail_is_told_as_well(tmp_path: Path) -> None:
    """It asks the storage and the ML backend while we wait."""

    class Waiting(FakeStudio):
        def ensure_storage(self, *_: object) -> None:
            raise StudioUnavailable("did not answer in time")

        def ensure_backend(self, *_: object) -> None:
            raise StudioUnavailable("500: Debugging info is not available")

    studio = Waiting()
    made = make_project(studio, SETTINGS)
    assert equip(studio, full_settings(tmp_path), made) == [
        "its storage could not be set up: did not answer in time",
        "its ML backend could not be set up: 500: Debugging info is not available",
    ]
    assert made.id in studio.webhooks


def test_problem_is_told_from_other_notes(tmp_path: Path) -> None:
    studio = FakeStudio()
    made = make_project(studio, SETTINGS)
    settings = full_settings(tmp_path)
    for name in ("s3", "webhook", "backend"):
        (tmp_path / name).unlink()
    problems = equip(studio, settings, made)
    assert [tells_problem(note) for note in problems] == [True] * 3
    assert not tells_problem("the project is called 'its webhook could not be set up' now")


def test_studio_that_goes_away_meanwhile_is_no_problem_of_the_project(tmp_path: Path) -> None:
    studio = FakeStudio()
    made = make_project(studio, SETTINGS)
    studio.down = True
    with pytest.raises(StudioUnavailable):
        equip(studio, full_settings(tmp_path), made)
    studio.down = False
    studio.delete_project(made.id)
    with pytest.raises(ProjectMissing):
        equip(studio, full_settings(tmp_path), made)
