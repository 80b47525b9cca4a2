from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
import typer

from tests.factories import MORNING, Wanted, make_camera, make_image
from tests.unit.traboule.conftest import Run
from traboule.workspace import Workspace


def test_sheet_shows_the_kept_images(run: Run, workspace: Workspace) -> None:
    make_camera(workspace)
    image = make_image(workspace, Wanted(labels={"car": 2}))
    ran = run("sheet")
    assert workspace.data is not None
    assert ran.out == f"{workspace.data / 'sheet.html'}\n"
    assert image in Path(ran.out.strip()).read_text()


def test_sheet_of_a_filter_goes_where_it_is_told(
    run: Run, workspace: Workspace, tmp_path: Path
) -> None:
    car = make_image(workspace, Wanted(labels={"car": 1}))
    bus = make_image(workspace, Wanted(at=MORNING + timedelta(hours=1), labels={"bus": 1}))
    ran = run("sheet", "--label", "bus", "--out", str(tmp_path / "buses.html"))
    assert ran.status == 0
    page = (tmp_path / "buses.html").read_text()
    assert bus in page
    assert car not in page


def test_sheet_is_opened_when_asked(
    run: Run, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_image(workspace, Wanted())
    opened: list[str] = []

    def launch(url: str) -> int:
        opened.append(url)
        return 0

    monkeypatch.setattr(typer, "launch", launch)
    ran = run("sheet", "--open")
    assert ran.status == 0
    assert opened == [Path(ran.out.strip()).as_uri()]


def test_sheet_that_cannot_be_written_is_one_line(
    run: Run, workspace: Workspace, tmp_path: Path
) -> None:
    make_image(workspace, Wanted())
    ran = run("sheet", "--out", str(tmp_path / "nowhere" / "sheet.html"))
    assert ran.status == 1
    assert ran.err == (
        f"traboule: cannot write {tmp_path}/nowhere/sheet.html: No such file or directory\n"
    )


@pytest.mark.parametrize(
    ("option", "complaint"),
    [
        (("--label", "bus"), "no such images, so no sheet is written"),
        (("--camera", "nobody"), "no camera 'nobody'; see: traboule cameras list"),
    ],
)
def test_sheet_of_nothing_is_not_written(
    run: Run, workspace: Workspace, tmp_path: Path, option: tuple[str, str], complaint: str
) -> None:
    make_image(workspace, Wanted(labels={"car": 1}))
    ran = run("sheet", *option, "--out", str(tmp_path / "sheet.html"))
    assert (ran.status, ran.out, ran.err.count("\n")) == (1, "", 1)
    assert complaint in ran.err
    assert not (tmp_path / "sheet.html").exists()


def test_sheet_goes_through_standard_output(run: Run, workspace: Workspace) -> None:
    image = make_image(workspace, Wanted(labels={"car": 1}))
    ran = run("sheet", "--output", "-")
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.startswith("<!doctype html>") and image in ran.out
    assert ran.out.rstrip().endswith("</html>")
    assert workspace.data is not None
    assert not (workspace.data / "sheet.html").exists()


def test_sheet_in_a_container_must_be_told_where_to_go(
    run_composed: Run, workspace: Workspace
) -> None:
    make_image(workspace, Wanted())
    ran = run_composed("sheet")
    assert (ran.status, ran.out) == (1, "")
    assert "docker compose run --rm cli sheet --output - > sheet.html" in ran.err
    assert run_composed("sheet", "--output", "-").status == 0
