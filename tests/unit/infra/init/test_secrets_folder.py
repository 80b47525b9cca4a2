from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from infra.init.secrets_folder import NEW, OLD, SecretsFolder
from pipeline.errors import UserError

NAME = "capture/password"


@pytest.fixture
def folder(tmp_path: Path) -> SecretsFolder:
    return SecretsFolder(tmp_path, os.getgid())


def modes(folder: SecretsFolder) -> dict[str, str]:
    return {
        str(path.relative_to(folder.root)): f"{path.stat().st_mode & 0o7777:o}"
        for path in folder.root.rglob("*")
    }


def test_secret_is_read_by_its_group_and_written_by_nobody(folder: SecretsFolder) -> None:
    before = os.umask(0o077)
    try:
        folder.write(NAME, "secret")
    finally:
        os.umask(before)
    assert folder.read(NAME) == "secret"
    assert modes(folder) == {"capture": "750", NAME: "440"}
    assert (folder.root / NAME).stat().st_gid == folder.gid


def test_secret_is_written_again_in_place_of_the_other(folder: SecretsFolder) -> None:
    folder.write(NAME, "one")
    folder.write(NAME, "two")
    assert folder.read(NAME) == "two"
    assert list(modes(folder)) == ["capture", NAME]


def test_write_that_fails_leaves_the_former_secret(
    folder: SecretsFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.write(NAME, "one")

    def refuse(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="No space left"):
        folder.write(NAME, "two")
    assert folder.read(NAME) == "one"


def test_empty_secret_is_none(folder: SecretsFolder) -> None:
    folder.write(NAME, "\n")
    assert folder.read(NAME) is None
    with pytest.raises(UserError, match=r"python -m infra\.init secrets"):
        folder.get(NAME)


def test_candidates_are_the_current_the_new_and_the_old_password(folder: SecretsFolder) -> None:
    assert folder.candidates(NAME) == []
    for ending, password in ((OLD, "old"), (NEW, "new"), ("", "current")):
        folder.write(f"{NAME}{ending}", password)
    assert folder.candidates(NAME) == ["current", "new", "old"]
    folder.write(f"{NAME}{OLD}", "new")
    assert folder.candidates(NAME) == ["current", "new"]


def test_new_password_is_coming_until_it_is_the_current_one(folder: SecretsFolder) -> None:
    folder.write(NAME, "current")
    assert folder.coming(NAME) == "current"
    assert not folder.promote(NAME)
    folder.write(f"{NAME}{NEW}", "new")
    assert folder.coming(NAME) == "new"
    assert folder.promote(NAME)
    assert folder.candidates(NAME) == ["new"]


def test_old_password_is_kept_where_asked_until_it_is_forgotten(folder: SecretsFolder) -> None:
    folder.write(NAME, "current")
    folder.write(f"{NAME}{NEW}", "new")
    assert folder.promote(NAME, keep_old=True)
    assert folder.candidates(NAME) == ["new", "current"]
    folder.forget_old(NAME)
    folder.forget_old(NAME)
    assert folder.candidates(NAME) == ["new"]


def test_mending_removes_half_written_files_and_sets_rights(folder: SecretsFolder) -> None:
    folder.write(NAME, "secret")
    (folder.root / "capture" / ".x.part").write_text("hal")
    (folder.root / NAME).chmod(0o600)
    (folder.root / "capture").chmod(0o700)
    folder.mend()
    assert modes(folder) == {"capture": "750", NAME: "440"}
    assert folder.read(NAME) == "secret"


def test_one_init_at_a_time(folder: SecretsFolder) -> None:
    done: list[str] = []

    def second() -> None:
        with folder.locked():
            done.append("second")

    with folder.locked():
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.2)
        assert done == []
        done.append("first")
    thread.join(60)
    assert done == ["first", "second"]


def test_folder_that_cannot_be_used_says_whose_it_must_be(tmp_path: Path) -> None:
    missing = SecretsFolder(tmp_path / "missing", os.getgid())
    with pytest.raises(UserError, match=f"let user {os.geteuid()} own"), missing.locked():
        pass


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_folder_that_is_read_only_is_not_ours(folder: SecretsFolder) -> None:
    assert folder.is_ours(NAME)
    folder.write(NAME, "secret")
    (folder.root / "capture").chmod(0o550)
    assert not folder.is_ours(NAME)
