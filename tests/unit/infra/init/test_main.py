from __future__ import annotations

from pathlib import Path

import pytest

from infra.init.__main__ import main
from infra.init.commands import COMMANDS
from infra.init.settings import InitSettings
from pipeline.errors import UserError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INIT_SECRETS_DIR", str(tmp_path))
    monkeypatch.setenv("INIT_SECRETS_GID", str(tmp_path.stat().st_gid))
    return tmp_path


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    told = capsys.readouterr().out
    assert all(f"\n    {name} " in told for name in COMMANDS)


def test_command_that_is_not_known_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["dance"])
    assert end.value.code == 2
    assert "dance" in capsys.readouterr().err


def test_secrets_are_made_the_first_time_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["secrets"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert "secrets: capture/password made" in told
    assert told[-1] == "secrets: broker/users.acl written"
    assert main(["secrets"]) == 0
    assert capsys.readouterr().out == "nothing to do\n"


def test_what_goes_wrong_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(settings: InitSettings, report: object) -> None:
        raise UserError("first\n  second")

    monkeypatch.setitem(COMMANDS, "secrets", (fail, ""))
    assert main(["secrets"]) == 1
    assert capsys.readouterr().err == "init: first second\n"


def test_folder_that_is_missing_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    monkeypatch.setenv("INIT_SECRETS_DIR", str(folder / "missing"))
    assert main(["secrets"]) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"init: cannot use {folder / 'missing'}")
    assert told.count("\n") == 1


def test_setting_that_is_not_valid_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("INIT_WAIT_S", "long")
    assert main(["secrets"]) == 1
    told = capsys.readouterr().err
    assert "wait_s" in told
    assert told.count("\n") == 1


def test_settings_do_not_show_addresses() -> None:
    secret = "postgresql+psycopg://traboule:secret@catalog/traboule"
    assert "secret@" not in repr(InitSettings(catalog_url=secret, store_url=secret))
