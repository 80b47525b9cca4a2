from __future__ import annotations

import pytest

from pipeline import keys
from tests.factories import Wanted, make_image
from tests.unit.traboule.conftest import Run
from traboule import diagnosis
from traboule.check import Contact
from traboule.workspace import Workspace


@pytest.fixture(autouse=True)
def _nobody_out_there(monkeypatch: pytest.MonkeyPatch) -> None:
    contact = Contact("cameras.example", problem="cameras.example cannot be reached")
    monkeypatch.setattr(diagnosis, "ask_host", lambda url: contact)


def test_doctor_of_what_is_well_exits_with_0(run: Run, workspace: Workspace) -> None:
    make_image(workspace, Wanted())
    ran = run("doctor")
    assert ran.status == 0
    assert "ok    catalog and store: they agree: 1 images/, 1 detections/, 1 detected" in ran.out
    assert "warn  camera host: cameras.example cannot be reached → look at the network" in ran.out


def test_doctor_of_what_is_broken_exits_with_1_and_says_what_to_do(
    run: Run, workspace: Workspace
) -> None:
    image = make_image(workspace, Wanted())
    workspace.store.delete(keys.detections(image))
    ran = run("doctor", "--json")
    assert ran.status == 1
    (failed,) = (check for check in ran.json if check["status"] == "fail")
    assert failed["name"] == "catalog and store"
    assert image in failed["what"]
    assert "rebuild-catalog" in failed["what_to_do"]


def test_doctor_beside_services_looks_at_them_and_says_no_password(
    run_composed: Run, workspace: Workspace
) -> None:
    make_image(workspace, Wanted())
    ran = run_composed("doctor")
    assert ran.status == 1  # nobody answers at the broker's address
    for name in ("broker", "object store", "catalog", "polling", "detection", "catalog and store"):
        assert f"  {name}: " in ran.out
    assert "data folder" not in ran.out
    assert "secret" not in ran.out
