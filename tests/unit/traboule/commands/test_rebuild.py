from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from pipeline import keys
from pipeline.settings import PipelineSettings
from tests.factories import MORNING, Wanted, make_camera, make_image
from tests.unit.traboule.conftest import Run
from traboule.workspace import Workspace, locked


@pytest.fixture
def filled(workspace: Workspace) -> Path:
    """A data folder with a camera, an image of every state and an erased one; closed."""
    make_camera(workspace)
    for minutes, state in enumerate(("detected", "stored", "dropped")):
        at = MORNING + timedelta(minutes=minutes)
        make_image(workspace, Wanted(at=at, state=state, labels={"car": 2}))
    workspace.close()
    assert workspace.data is not None
    return workspace.data


def listing(run: Run) -> list[object]:
    return [
        run(*command, "--json").json
        for command in (("images", "list"), ("images", "list", "--state", "dropped"))
    ]


def test_rebuilding_lists_the_same(run: Run, filled: Path) -> None:
    before = listing(run)
    ran = run("rebuild-catalog", "--yes")
    assert ran.out == (
        "rebuilt: 1 cameras, 1 images detected, 1 waiting, 1 near-duplicates, "
        "0 annotations, 0 tombstones, 0 marks left out\n"
    )
    assert listing(run) == before
    assert [camera["id"] for camera in run("cameras", "list", "--json").json] == ["quai-saone"]


def test_rebuilding_keeps_the_old_catalog(run: Run, filled: Path) -> None:
    old = (filled / "catalog.sqlite3").read_bytes()
    assert run("rebuild-catalog", "--yes").status == 0
    assert (filled / "catalog.sqlite3.before-rebuild").read_bytes() == old
    assert [path.name for path in filled.glob("*rebuilding*")] == []


@pytest.mark.parametrize("content", [None, b"", b"this is no database at all" * 99])
def test_rebuilding_needs_no_catalog(run: Run, filled: Path, content: bytes | None) -> None:
    catalog = filled / "catalog.sqlite3"
    catalog.unlink()
    if content is not None:
        catalog.write_bytes(content)
    (filled / "catalog.sqlite3-wal").write_bytes(b"what another catalog's log left")
    assert run("rebuild-catalog", "--yes").status == 0
    assert len(run("images", "list", "--json").json) == 2


def test_rebuilding_beside_a_run_is_refused(run: Run, filled: Path) -> None:
    old = (filled / "catalog.sqlite3").read_bytes()
    with locked(filled, "run"):
        ran = run("rebuild-catalog", "--yes")
    assert ran.status == 1
    assert "cannot rebuild the catalog" in ran.err
    assert (filled / "catalog.sqlite3").read_bytes() == old


def test_a_damaged_object_is_named_and_the_old_catalog_stays(run: Run, filled: Path) -> None:
    before = listing(run)
    key = keys.source("quai-saone")
    (filled / "store" / key).write_text("{")
    ran = run("rebuild-catalog", "--yes")
    assert ran.status == 1
    assert ran.err.splitlines()[-1].startswith(f"traboule: {key} in the object store is damaged")
    assert listing(run) == before
    assert [path.name for path in filled.glob("*rebuilding*")] == []


def test_rebuilding_from_nothing_is_refused(run: Run, tmp_path: Path) -> None:
    ran = run("rebuild-catalog", "--yes", "--data", str(tmp_path / "nowhere"))
    assert ran.status == 1
    assert "there is no store in" in ran.err
    assert not (tmp_path / "nowhere").exists()


def test_rebuilding_a_file_that_the_environment_names_is_refused(
    run: Run, filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = PipelineSettings.of_folder(filled)
    monkeypatch.delenv("TRABOULE_DATA", raising=False)
    for piece in ("broker", "store", "catalog"):
        monkeypatch.setenv(f"PIPELINE_{piece.upper()}_URL", getattr(settings, f"{piece}_url"))
    ran = run("rebuild-catalog", "--yes")
    assert ran.status == 1
    assert "name its folder with --data" in ran.err
