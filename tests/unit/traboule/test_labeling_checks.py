from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from pipeline import keys
from pipeline.catalog.labeling.tasks import Considered
from pipeline.settings import PipelineSettings
from services.labeling.studio.access import Access, TokenKind
from tests.factories import MORNING
from tests.ml_backend import run_backend
from traboule import labeling_checks
from traboule.check import Contact, Patient
from traboule.labeling_checks import check_labeling
from traboule.labels.connection import FILE, find_known, place_of, remember
from traboule.workspace import Workspace

NOW = MORNING + timedelta(hours=1)
IMAGE = "quai-20261121T091640Z-8be14bda"


def of(workspace: Workspace) -> Patient:
    return Patient(workspace.data, workspace.settings, NOW, Contact("cameras.example"))


def let_in(monkeypatch: pytest.MonkeyPatch, problem: str | None) -> None:
    told = Access("1.23.2", "ann@example.com", TokenKind.LEGACY, problem)
    monkeypatch.setattr(labeling_checks, "check_access", lambda url, token: told)


def found(workspace: Workspace) -> dict[str, str]:
    return {check.name: check.status for check in check_labeling(of(workspace))}


def test_nothing_is_said_where_none_is_connected(workspace: Workspace) -> None:
    assert found(workspace) == {}


def test_label_studio_that_lets_us_in_is_well(
    workspace: Workspace, connected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_in(monkeypatch, None)
    assert found(workspace) == {"label-studio-sdk": "ok", "Label Studio": "ok", "images": "warn"}


def test_label_studio_that_does_not_is_a_warning(
    workspace: Workspace, connected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_in(monkeypatch, "it does not know the token")
    assert found(workspace)["Label Studio"] == "warn"


def test_token_that_others_may_read_is_a_warning(
    workspace: Workspace, connected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_in(monkeypatch, None)
    assert workspace.data is not None
    (workspace.data.parent / "token").chmod(0o644)
    [check] = [one for one in check_labeling(of(workspace)) if one.name == "Label Studio"]
    assert "chmod 600" in check.what_to_do
    (workspace.data.parent / "token").unlink()
    assert found(workspace) == {"Label Studio": "warn"}


def test_connection_that_was_damaged_is_a_warning(workspace: Workspace, connected: str) -> None:
    assert workspace.data is not None
    (place_of(workspace.data) / FILE).write_text("{")
    assert found(workspace) == {"Label Studio": "warn"}


def test_servers_are_told_by_the_catalog(composed: Workspace) -> None:
    assert found(composed) == {}
    projects = composed.catalog.labeling_projects
    projects.contacted("http://label-studio:8080#1", NOW)
    assert found(composed) == {"Label Studio": "ok"}
    projects.note("http://label-studio:8080#1", ["the class car was removed"])
    assert found(composed) == {"Label Studio": "warn"}
    projects.failed("http://label-studio:8080#1", "it does not answer")
    [check] = check_labeling(of(composed))
    assert (check.status, check.what) == ("warn", "it does not answer")


def test_advice_in_a_container_is_what_can_be_done_there(
    composed: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPELINE_CATALOG_URL", composed.settings.catalog_url)
    monkeypatch.setenv("LABELING_URL", "http://elsewhere.example")
    projects, labeling = composed.catalog.labeling_projects, composed.catalog.labeling
    projects.contacted("http://label-studio:8080#1", NOW)
    projects.note("http://label-studio:8080#1", ["or: traboule labels pull --accept-deletions"])
    about = Considered(IMAGE, "quai", keys.day_of(IMAGE))
    labeling.adopt("http://label-studio:8080#1", about, 7, NOW)
    labeling.erase_image(IMAGE, NOW)
    project, erased = check_labeling(of(composed))
    asked = "docker compose run --rm labels labels"
    assert project.what == f"or: {asked} pull --accept-deletions"
    assert erased.what_to_do.endswith(f"{asked} forget-erased")


def test_model_that_predictions_wait_for_is_a_warning(
    workspace: Workspace, connected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_in(monkeypatch, None)
    assert workspace.data is not None
    known = find_known(workspace.data)
    assert known is not None
    with run_backend(workspace.store, workspace.data / "password") as backend:
        port = int(backend.url.rpartition(":")[2])
        remember(workspace.data, known.model_copy(update={"backend_port": port}))
        assert "predictions" not in found(workspace)
        backend.missing.add("yolox-nano")
        [check] = [one for one in check_labeling(of(workspace)) if one.name == "predictions"]
    assert (check.status, "yolox-nano is missing" in check.what) == ("warn", True)
    assert "predictions" not in found(workspace), "it is not at work"


def test_tasks_of_erased_images_in_a_label_studio_of_before_are_a_warning(
    workspace: Workspace,
) -> None:
    about = Considered(IMAGE, "quai", keys.day_of(IMAGE))
    labeling = workspace.catalog.labeling
    labeling.adopt("http://labels.example#3", about, 7, NOW)
    assert found(workspace) == {}
    labeling.erase_image(IMAGE, NOW)
    [check] = check_labeling(of(workspace))
    assert (check.name, check.status) == ("erased images", "warn")
    place = "http://labels.example/projects/3 (7)"
    assert check.what == f"labeling tasks of 1 erased image are still at {place}"
    assert "forget-erased" in check.what_to_do


def test_no_catalog_is_made_to_be_looked_at(tmp_path: Path) -> None:
    settings = PipelineSettings.of_folder(tmp_path / "none")
    patient = Patient(tmp_path / "none", settings, NOW, Contact("cameras.example"))
    assert check_labeling(patient) == []
    assert list(tmp_path.iterdir()) == []
