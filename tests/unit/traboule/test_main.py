from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import AfterValidator, TypeAdapter, ValidationError

from pipeline.errors import UserError
from tests.factories import make_camera
from tests.unit.traboule.conftest import Run
from traboule import __main__ as front_door
from traboule.workspace import Workspace


def raising(error: BaseException) -> object:
    def app(*_: object, **__: object) -> None:
        raise error

    return app


def test_an_error_of_ours_is_put_on_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(front_door, "app", raising(UserError("first\n  second")))
    ran = run()
    assert (ran.status, ran.out, ran.err) == (1, "", "traboule: first second\n")


def test_ctrl_c_is_status_130(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(front_door, "app", raising(KeyboardInterrupt()))
    ran = run()
    assert (ran.status, ran.out, ran.err) == (130, "", "")


def test_a_bug_is_not_hidden(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for bug in (KeyError("bug"), ValueError("bug")):
        monkeypatch.setattr(front_door, "app", raising(bug))
        with pytest.raises(type(bug)):
            run()


def test_a_setting_that_is_not_valid_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_CATALOG_URL", "sqlite:///somewhere")
    monkeypatch.delenv("TRABOULE_DATA")
    ran = run("cameras", "list")
    assert ran.status == 1
    assert ran.err.startswith("traboule: PipelineSettings is not valid: broker_url: Field required")
    assert ran.err.count("\n") == 1


def test_a_setting_that_is_no_json_is_named(
    run: Run, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCHEDULER_FEEDS", "grandlyon")
    ran = run("status")
    assert (ran.status, ran.err.count("\n")) == (1, 1)
    assert ran.err.startswith("traboule: a setting in the environment is not JSON")
    assert "feeds" in ran.err


def test_a_validators_complaint_is_told_without_pydantics_prefix(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(text: str) -> str:
        raise ValueError(f"{text} is too odd")

    with pytest.raises(ValidationError) as refused:
        TypeAdapter(Annotated[str, AfterValidator(refuse)]).validate_python("7")
    monkeypatch.setattr(front_door, "app", raising(refused.value))
    assert run().err.endswith(" is not valid: 7 is too odd\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ("images", "list", "--state", "odd"),
        ("drops", "list", "--outcome", "odd"),
        ("cameras", "add", "rue", "http://example.org/a.jpg", "--policy", "odd"),
        ("images", "list", "--since", "odd"),
        ("run", "--for", "odd"),
    ],
)
def test_a_wrong_value_is_told_in_plain_words(run: Run, arguments: tuple[str, ...]) -> None:
    ran = run(*arguments)
    assert ran.status == 2
    assert f"Invalid value for {arguments[-2]}" in ran.err.replace("'", "")
    assert "'odd' is n" in ran.err
    assert "Value error" not in ran.err


def test_a_data_folder_that_is_a_file_is_a_usage_error(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ran = run("cameras", "list", "--data", str(tmp_path / "file"))
    assert ran.status == 2
    assert "is a file" in ran.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_unwritable_folder_is_one_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "shut").mkdir(mode=0o500)
    ran = run("cameras", "list", "--data", str(tmp_path / "shut"))
    assert (ran.status, ran.err.count("\n")) == (1, 1)


def test_a_folder_below_a_file_cannot_be_written(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "data"
    ran = run("cameras", "add", "a", "http://localhost/a.jpg", "--data", str(folder))
    assert ran.status == 1
    assert ran.err.startswith(f"traboule: cannot write in {folder}")


def test_a_corrupt_catalog_says_how_to_mend_it(run: Run, workspace: Workspace) -> None:
    make_camera(workspace)
    workspace.close()
    assert workspace.data is not None
    catalog = workspace.data / "catalog.sqlite3"
    catalog.write_bytes(b"not a database, and longer than SQLite's header of a hundred bytes" * 9)
    ran = run("cameras", "list")
    assert ran.status == 1
    assert "rebuild-catalog" in ran.err
    assert ran.err.count("\n") == 1


def test_a_reader_that_stops_is_no_error(workspace: Workspace) -> None:
    for number in range(20):  # more than a pipe holds
        make_camera(workspace, f"camera-{number}", attribution="Lyon" * 1000)
    command = f"{sys.executable} -m traboule cameras list --json --data {workspace.data} | head -1"
    ran = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60)
    assert (ran.stdout, ran.stderr) == ("[\n", "")


def test_logs_are_not_for_the_terminal(workspace: Workspace) -> None:
    script = """
import logging, sys
from traboule import __main__ as front_door
def app(*_, **__):
    from pipeline.logs import get_logger
    get_logger("ours").error("something broke")
    logging.getLogger("urllib3").warning("retrying")
    logging.getLogger("theirs").critical("something else broke")
front_door.app = app
front_door.main()
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
