from __future__ import annotations

import io
import sys

import pytest

from tests.unit.traboule.conftest import Run
from traboule.commands import run as command
from traboule.workspace import Workspace, locked


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--for", "5"), "'5' is not a duration"),
        (("--simulate", "-1"), "greater than or equal to 0"),
        (("--colour",), "No such option"),
    ],
)
def test_run_refuses_what_it_does_not_understand(
    run: Run, arguments: tuple[str, ...], told: str
) -> None:
    ran = run("run", *arguments)
    assert ran.status == 2
    assert told in ran.err


def test_run_beside_another_is_refused_in_one_line(run: Run, workspace: Workspace) -> None:
    assert workspace.data is not None
    with locked(workspace.data, "run the pipeline"):
        ran = run("run", "--simulate", "1")
    assert (ran.status, ran.out, ran.err.count("\n")) == (1, "", 1)
    assert "cannot run the pipeline" in ran.err


def test_run_in_a_folder_that_cannot_be_made_is_refused_in_one_line(
    run: Run, workspace: Workspace
) -> None:
    assert workspace.data is not None
    (workspace.data / "file").touch()
    ran = run("run", "--simulate", "1", "--data", str(workspace.data / "file" / "in-it"))
    assert (ran.status, ran.err.count("\n")) == (1, 1)
    assert "cannot write in" in ran.err


def test_run_whose_folder_is_not_known_asks_for_one(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TRABOULE_DATA")
    monkeypatch.setenv("PIPELINE_CATALOG_URL", "postgresql://catalog/")
    monkeypatch.setenv("PIPELINE_STORE_URL", "file:///nowhere")
    monkeypatch.setenv("PIPELINE_BROKER_URL", "memory://localhost/")
    ran = run("run", "--simulate", "1")
    assert (ran.status, ran.err.count("\n")) == (1, 1)
    assert "docker compose up, or name a folder with --data" in ran.err


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there always is a display")
def test_browser_is_opened_only_where_somebody_can_see_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert not command._has_browser()
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert command._has_browser()
    monkeypatch.delenv("DISPLAY")
    assert not command._has_browser()
