from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import UserError
from services.labeling.settings import ImageAccess, SendPolicy
from services.labeling.studio.access import Access, TokenKind
from tests.fake_studio import FakeStudio
from tests.round_trip import TOKEN
from traboule.labels import connecting
from traboule.labels.connecting import Asked, connect
from traboule.labels.connection import FILE, find_known, place_of
from traboule.workspace import Workspace

REMOTE = "https://labels.example"


def test_connecting_makes_the_project_once(
    workspace: Workspace, studio: FakeStudio, token_file: Path
) -> None:
    first = connect(workspace, Asked(studio.url, token_file))
    again = connect(workspace, Asked(studio.url + "/projects/4", token_file))
    assert (first.known, first.project) == (again.known, again.project)
    assert [one.title for one in studio.projects.values()] == ["Traboule"]
    row = workspace.catalog.labeling_projects.get(first.project.key)
    assert row is not None and row.contacted_at is not None
    assert (first.user, first.version, first.remarks) == ("ann@example.com", "1.23.2", ())


def test_token_is_not_remembered(workspace: Workspace, connected: str) -> None:
    assert workspace.data is not None
    for file in place_of(workspace.data).iterdir():
        assert TOKEN not in file.read_text()
        assert file.stat().st_mode & 0o077 == 0


def test_connecting_again_changes_what_is_named(workspace: Workspace, connected: str) -> None:
    before = connect(workspace, Asked(None, None)).known
    changed = connect(workspace, Asked(None, None, policy=SendPolicy.NTH, every_nth=5)).known
    assert changed == before.model_copy(update={"policy": SendPolicy.NTH, "every_nth": 5})
    assert connect(workspace, Asked(None, None)).known == changed


def test_deleted_project_is_made_anew(
    workspace: Workspace, studio: FakeStudio, connected: str
) -> None:
    [old] = studio.projects
    studio.delete_project(old)
    made = connect(workspace, Asked(None, None))
    assert made.project.key != connected
    assert list(studio.projects) == [made.project.id]


def test_project_that_was_renamed_is_taken_up_again(
    workspace: Workspace, studio: FakeStudio, connected: str
) -> None:
    [number] = studio.projects
    studio.rename_project(number, "Streets of Lyon")
    assert connect(workspace, Asked(None, None)).project.key == connected
    studio.create_project("Traboule", "<View/>")
    assert connect(workspace, Asked(None, None)).project.key == connected


def test_title_that_is_asked_for_is_found_or_made(
    workspace: Workspace, studio: FakeStudio, connected: str
) -> None:
    [number] = studio.projects
    assert connect(workspace, Asked(None, None, "Traboule")).project.id == number
    studio.rename_project(number, "Streets of Lyon")
    made = connect(workspace, Asked(None, None, "Traboule")).project
    assert (made.title, made.id != number) == ("Traboule", True)
    assert connect(workspace, Asked(None, None)).project.key == made.key
    assert connect(workspace, Asked(None, None, "Streets of Lyon")).project.key == connected
    assert len(studio.projects) == 2


def test_interface_that_was_changed_by_hand_is_told(
    workspace: Workspace, studio: FakeStudio, connected: str
) -> None:
    [number] = studio.projects
    studio.change_interface(number, "<View><Image name='image' value='$image'/></View>")
    assert connect(workspace, Asked(None, None)).remarks != ()


def test_another_label_studio_is_refused_until_the_first_is_disconnected(
    workspace: Workspace, connected: str, token_file: Path
) -> None:
    with pytest.raises(UserError, match="traboule labels disconnect"):
        connect(workspace, Asked("http://127.0.0.1:9", token_file))


def test_remote_label_studio_gets_images_as_the_person_says(
    workspace: Workspace, studio: FakeStudio, token_file: Path
) -> None:
    with pytest.raises(UserError, match="--images upload"):
        connect(workspace, Asked(REMOTE, token_file))
    made = connect(workspace, Asked(REMOTE, token_file, images=ImageAccess.UPLOAD))
    assert made.known.images is ImageAccess.UPLOAD
    assert made.remarks == (f"a copy of each image that is sent stays at {REMOTE}",)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (Asked(None, None), "which Label Studio"),
        (Asked("127.0.0.1:8080", Path("token")), "begins with http"),
        (Asked("http://127.0.0.1", None), "--token-file"),
        (Asked("http://127.0.0.1", Path("/no/token")), "/no/token cannot be read"),
        (Asked("http://127.0.0.1", Path("token"), project="ab"), "three|3 characters"),
        (Asked("http://127.0.0.1", Path("token"), images=ImageAccess.S3), "S3"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    workspace: Workspace, studio: FakeStudio, asked: Asked, told: str
) -> None:
    with pytest.raises(UserError, match=told):
        connect(workspace, asked)
    assert studio.requests == {}


def test_nothing_is_remembered_of_a_label_studio_that_does_not_let_us_in(
    workspace: Workspace, studio: FakeStudio, token_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = Access(None, None, TokenKind.LEGACY, "it does not know the token")
    monkeypatch.setattr(connecting, "check_access", lambda url, token: refused)
    with pytest.raises(UserError, match="it does not know the token"):
        connect(workspace, Asked(studio.url, token_file))
    assert workspace.data is not None
    assert find_known(workspace.data) is None
    assert not (place_of(workspace.data) / FILE).exists()


def test_servers_are_told_by_their_environment(composed: Workspace, token_file: Path) -> None:
    with pytest.raises(UserError, match="LABELING_URL"):
        connect(composed, Asked("http://127.0.0.1", token_file))


def test_service_takes_a_project_of_its_title_for_one_that_was_renamed(
    composed: Workspace, studio: FakeStudio, token_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABELING_URL", studio.url)
    monkeypatch.setenv("LABELING_TOKEN_FILE", str(token_file))
    former = connect(composed, Asked(None, None)).project
    studio.rename_project(former.id, "Streets of Lyon")
    assert connect(composed, Asked(None, None)).project.key == former.key
    assert connect(composed, Asked(None, None, "Traboule")).project.id != former.id
    with pytest.raises(UserError, match="settings say it all"):
        connect(composed, Asked(None, None, "Streets of Lyon"))
