from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path

import pytest

from infra.init.broker import USERS_FILE, make_users, write_users
from infra.init.passwords import BROKER_OWNER, make_missing
from infra.init.report import Report
from infra.init.secrets_folder import NEW, SecretsFolder
from pipeline.broker import acl_rules
from pipeline.routes import SENDERS


@pytest.fixture
def folder(tmp_path: Path) -> SecretsFolder:
    folder = SecretsFolder(tmp_path, os.getgid())
    make_missing(folder, Report(io.StringIO()))
    return folder


def sha256(password: str) -> str:
    return hashlib.sha256(password.encode()).hexdigest()


def test_users_file_holds_hashes_and_no_password(folder: SecretsFolder) -> None:
    text = make_users(folder)
    password = folder.get("capture/password")
    assert f"user capture on #{sha256(password)} {acl_rules('capture')}\n" in text
    assert all(path.read_text() not in text for path in folder.root.rglob("*password"))


def test_nobody_comes_in_without_a_password(folder: SecretsFolder) -> None:
    lines = make_users(folder).splitlines()
    assert lines[0] == "user default off"
    assert all(" on #" in line and "nopass" not in line for line in lines[1:])


def test_user_has_both_passwords_while_one_takes_the_others_place(folder: SecretsFolder) -> None:
    folder.write(f"{BROKER_OWNER}{NEW}", "new")
    old = folder.get(BROKER_OWNER)
    assert f"user init on #{sha256(old)} #{sha256('new')} " in make_users(folder)
    folder.promote(BROKER_OWNER)
    assert f"user init on #{sha256('new')} -@all" in make_users(folder)


def test_health_check_may_ping_alone(folder: SecretsFolder) -> None:
    [line] = [line for line in make_users(folder).splitlines() if "health" in line]
    assert line.split()[4:] == ["-@all", "+ping"]


def test_users_file_is_written_when_it_says_something_else(folder: SecretsFolder) -> None:
    report = Report(io.StringIO())
    for _ in range(2):
        write_users(folder, report)
    assert report.changes == 1
    folder.write(USERS_FILE, "user default on nopass ~* +@all\n")
    write_users(folder, report)
    assert folder.get(USERS_FILE).startswith("user default off\n")
    assert report.changes == 2


def test_users_file_that_somebody_else_made_is_left(
    folder: SecretsFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Swarm's secrets cannot be written."""
    monkeypatch.setattr(os, "access", lambda *_: False)
    report = Report(io.StringIO())
    write_users(folder, report)
    assert (report.changes, folder.read(USERS_FILE)) == (0, None)


def test_whoever_neither_sends_nor_takes_messages_is_no_user(folder: SecretsFolder) -> None:
    users = {line.split()[1] for line in make_users(folder).splitlines()}
    assert users == {"default", "init", "health", *SENDERS}
