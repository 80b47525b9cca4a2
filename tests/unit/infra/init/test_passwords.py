from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from infra.init.passwords import (
    BROKER_HEALTH,
    COPIES,
    LABEL_STUDIO_TOKEN,
    PASSWORDS,
    STORE_OWNER,
    make_missing,
    make_password,
    promote_all,
    stage_new,
)
from infra.init.report import Report
from infra.init.secrets_folder import OLD, SecretsFolder


@pytest.fixture
def folder(tmp_path: Path) -> SecretsFolder:
    return SecretsFolder(tmp_path, os.getgid())


def read_all(folder: SecretsFolder) -> dict[str, str]:
    return {name: folder.get(name) for name in PASSWORDS}


def test_passwords_are_made_once_and_each_is_another(folder: SecretsFolder) -> None:
    report = Report(io.StringIO())
    make_missing(folder, report)
    made = read_all(folder)
    assert len(set(made.values())) == len(PASSWORDS) == report.changes - len(COPIES)
    make_missing(folder, report)
    assert read_all(folder) == made
    assert report.changes == len(PASSWORDS) + len(COPIES)


def test_what_was_restored_is_kept_and_what_is_missing_made(folder: SecretsFolder) -> None:
    folder.write(BROKER_HEALTH, "restored")
    make_missing(folder, Report(io.StringIO()))
    assert folder.get(BROKER_HEALTH) == "restored"
    assert len(set(read_all(folder).values())) == len(PASSWORDS)


def test_second_consumer_has_a_copy_in_its_own_folder(folder: SecretsFolder) -> None:
    make_missing(folder, Report(io.StringIO()))
    stage_new(folder, PASSWORDS, Report(io.StringIO()))
    promote_all(folder, Report(io.StringIO()))
    for copy, original in COPIES.items():
        assert copy.partition("/")[0] != original.partition("/")[0]
        assert folder.get(copy) == folder.get(original)


def test_copy_that_a_killed_rotation_left_is_mended(folder: SecretsFolder) -> None:
    make_missing(folder, Report(io.StringIO()))
    folder.write(LABEL_STUDIO_TOKEN, "changed")
    make_missing(folder, Report(io.StringIO()))
    assert folder.get("labeling/label_studio_token") == "changed"


def test_copies_are_nobodys_to_make_where_secrets_are_mounted(
    folder: SecretsFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Swarm's."""
    for name in PASSWORDS:
        folder.write(name, make_password())
    monkeypatch.setattr(os, "access", lambda *_: False)
    report = Report(io.StringIO())
    make_missing(folder, report)
    assert report.changes == 0
    assert not [copy for copy in COPIES if folder.read(copy)]


def test_token_is_as_long_as_label_studio_can_keep(folder: SecretsFolder) -> None:
    make_missing(folder, Report(io.StringIO()))
    assert 5 < len(folder.get(LABEL_STUDIO_TOKEN)) <= 40


def test_password_is_never_said(folder: SecretsFolder) -> None:
    told = io.StringIO()
    make_missing(folder, Report(told))
    stage_new(folder, PASSWORDS, Report(told))
    before = read_all(folder)
    promote_all(folder, Report(told))
    for password in (*before.values(), *read_all(folder).values()):
        assert password not in told.getvalue()


def test_new_passwords_take_their_places(folder: SecretsFolder) -> None:
    make_missing(folder, Report(io.StringIO()))
    before = read_all(folder)
    stage_new(folder, PASSWORDS, Report(io.StringIO()))
    assert read_all(folder) == before
    promote_all(folder, Report(io.StringIO()))
    after = read_all(folder)
    assert not set(before.values()) & set(after.values())
    assert folder.read(f"{STORE_OWNER}{OLD}") == before[STORE_OWNER]
    assert sorted(str(path.name) for path in folder.root.rglob("*.*")) == ["root_password.old"]


def test_password_needs_no_escaping() -> None:
    password = make_password()
    assert len(password) == 40
    assert password.replace("-", "").replace("_", "").isalnum()
