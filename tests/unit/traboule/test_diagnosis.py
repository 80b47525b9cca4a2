from __future__ import annotations

import re
import sqlite3
import time
import tomllib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from pipeline import keys
from pipeline.settings import PipelineSettings
from services.maintenance.audit import Mismatch
from tests.factories import MORNING, Wanted, make_image
from tests.quiet_server import QuietServer
from traboule import data_checks, diagnosis, machine_checks
from traboule.advice import COMPOSED, EMBEDDED, Advice
from traboule.check import Check, Contact, Patient
from traboule.data_checks import ADVICE
from traboule.workspace import Workspace

NOW = MORNING + timedelta(hours=1)
ROOT = Path(__file__).parents[3]
OF_DATA = diagnosis.EXAMINATIONS[5:]
UNREACHABLE = Contact("cameras.example", problem="cameras.example cannot be reached: no such host")


def make_patient(folder: Path, now: datetime = NOW, contact: Contact = UNREACHABLE) -> Patient:
    return Patient(folder, PipelineSettings.of_folder(folder), now, contact)


def of_workspace(workspace: Workspace, now: datetime = NOW) -> Patient:
    assert workspace.data is not None
    return make_patient(workspace.data, now)


def statuses(checks: Sequence[Check]) -> dict[str, str]:
    return {check.name: check.status for check in checks}


def test_every_package_of_the_command_is_looked_at() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = {name: one for name, one in project["optional-dependencies"].items() if name != "dev"}
    named = [*project["dependencies"], *(line for extra in extras.values() for line in extra)]
    wanted = {re.split(r"[<>=\[ ]", line)[0] for line in named} - {"traboule"}
    known = machine_checks.PACKAGES.keys() | machine_checks.COMPOSED_PACKAGES.keys()
    assert known - {"redis"} == wanted  # which is celery's own extra


def test_package_that_is_missing_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(machine_checks.PACKAGES, "rocket", "no_such_rocket")
    (check,) = machine_checks.check_packages(make_patient(tmp_path))
    assert check.status == "fail"
    assert "rocket" in check.what
    assert "pip install" in check.what_to_do


def test_python_and_packages_of_this_machine_are_well(tmp_path: Path) -> None:
    patient = make_patient(tmp_path)
    found = statuses(
        [*machine_checks.check_python(patient), *machine_checks.check_packages(patient)]
    )
    assert found == {"python": "ok", "packages": "ok"}


def test_models_that_are_missing_or_corrupt_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "face_detection_yunet_2023mar.onnx").write_bytes(b"not a model")
    monkeypatch.setenv("TRABOULE_MODELS_DIR", str(tmp_path / "nowhere"))
    monkeypatch.setenv("DETECTION_MODELS_CACHE", str(tmp_path))
    yunet, yolox, folder = machine_checks.check_models(make_patient(tmp_path))
    assert (yunet.status, yolox.status, folder.status) == ("warn", "warn", "warn")
    assert "not the official file" in yunet.what
    assert "missing" in yolox.what
    assert "traboule models pull" in yunet.what_to_do
    assert "traboule models pull" in yolox.what_to_do
    assert "nowhere" in folder.what


@pytest.mark.parametrize(
    ("now", "host_says", "status"),
    [
        (datetime(2019, 1, 1, tzinfo=UTC), None, "fail"),
        (NOW, None, "ok"),
        (NOW, NOW - timedelta(seconds=59), "ok"),
        (NOW, NOW - timedelta(seconds=61), "warn"),
        (NOW, NOW + timedelta(minutes=5), "warn"),
    ],
)
def test_clock_is_compared(
    tmp_path: Path, now: datetime, host_says: datetime | None, status: str
) -> None:
    patient = make_patient(tmp_path, now, Contact("h", date=host_says))
    (check,) = machine_checks.check_clock(patient)
    assert check.status == status
    assert bool(check.what_to_do) == (status != "ok")


def test_camera_host_out_of_reach_is_a_warning(tmp_path: Path) -> None:
    assert statuses(machine_checks.check_camera_host(make_patient(tmp_path))) == {
        "camera host": "warn"
    }
    reached = make_patient(tmp_path, contact=Contact("h", date=NOW))
    assert statuses(machine_checks.check_camera_host(reached)) == {"camera host": "ok"}


class Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response_only(200)
        self.send_header("Date", "Sat, 21 Nov 2026 09:16:40 GMT")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def host() -> Iterator[str]:
    with QuietServer(Answers) as server:
        yield f"{server.url}/"


def test_host_is_asked_for_its_time(host: str) -> None:
    assert diagnosis.ask_host(host) == Contact("127.0.0.1", date=MORNING)


def test_host_that_does_not_answer_is_a_problem_not_an_error() -> None:
    contact = diagnosis.ask_host("http://127.0.0.1:9/list.json")
    assert "127.0.0.1 cannot be reached" in contact.problem
    assert contact.date is None


def test_folder_that_is_not_there_yet_is_well(tmp_path: Path) -> None:
    patient = make_patient(tmp_path / "new" / "data")
    checks = list(diagnosis.examine_all(patient, OF_DATA))
    assert statuses(checks) == {"data folder": "ok", "catalog": "ok"}
    assert list(tmp_path.iterdir()) == []  # nothing was made by looking


def test_folder_in_a_file_fails(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (check,) = data_checks.check_folder(make_patient(tmp_path / "file" / "data"))
    assert check.status == "fail"
    assert "--data" in check.what_to_do


def test_disk_below_the_watermark_fails(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAPTURE_MIN_FREE_BYTES", str(10**18))
    _, disk = data_checks.check_folder(of_workspace(workspace))
    assert (disk.name, disk.status) == ("disk", "fail")
    monkeypatch.setenv("CAPTURE_MIN_FREE_BYTES", "1")
    _, disk = data_checks.check_folder(of_workspace(workspace))
    assert (disk.status, disk.what_to_do) == ("ok", "")


def test_data_that_is_well_is_said_to_be(workspace: Workspace) -> None:
    make_image(workspace, Wanted())
    checks = list(diagnosis.examine_all(of_workspace(workspace), OF_DATA))
    assert set(statuses(checks).values()) == {"ok"}
    assert not any(check.what_to_do for check in checks)


def test_catalog_that_is_no_database_fails(tmp_path: Path) -> None:
    (tmp_path / "catalog.sqlite3").write_bytes(b"no database at all" * 100)
    (check,) = data_checks.check_catalog(make_patient(tmp_path))
    assert check.status == "fail"
    assert "rebuild-catalog" in check.what_to_do
    assert data_checks.check_store(make_patient(tmp_path)) == []


def test_catalog_with_damaged_pages_fails(workspace: Workspace) -> None:
    make_image(workspace, Wanted())
    workspace.close()
    patient = of_workspace(workspace)
    assert patient.folder is not None
    path = patient.folder / "catalog.sqlite3"
    data = bytearray(path.read_bytes())
    for at in range(4096, len(data), 4096):
        data[at : at + 512] = b"\xff" * 512
    path.write_bytes(data)
    (check,) = data_checks.check_catalog(patient)
    assert check.status == "fail"
    assert "rebuild-catalog" in check.what_to_do


@pytest.mark.parametrize(("revision", "status"), [("0000-newer", "fail"), (None, "warn")])
def test_catalog_of_another_version_is_told(
    workspace: Workspace, revision: str | None, status: str
) -> None:
    patient = of_workspace(workspace)
    assert patient.folder is not None
    with sqlite3.connect(patient.folder / "catalog.sqlite3") as connection:
        connection.execute("DELETE FROM alembic_version")
        if revision is not None:
            connection.execute("INSERT INTO alembic_version VALUES (?)", [revision])
    connection.close()
    (check,) = data_checks.check_catalog(patient)
    assert check.status == status
    assert check.what_to_do


def test_image_that_is_lost_fails_and_is_named(workspace: Workspace) -> None:
    image = make_image(workspace, Wanted())
    workspace.store.delete(keys.stored_image(image))
    checks = data_checks.check_store(of_workspace(workspace))
    assert {check.status for check in checks} == {"fail"}
    assert all(image in check.what and check.what_to_do for check in checks)


@pytest.mark.parametrize("advice", [COMPOSED, EMBEDDED])
def test_every_mismatch_has_advice(advice: Advice) -> None:
    assert set(ADVICE) == set(Mismatch)
    assert all("{" not in told.format_map(vars(advice)) for _, told in ADVICE.values())


def test_advice_is_what_a_person_types_where_they_are(
    workspace: Workspace, composed: Workspace
) -> None:
    image = make_image(workspace, Wanted())
    workspace.store.delete(keys.detections(image))
    checks = data_checks.check_store(of_workspace(workspace))
    assert any("run: traboule rebuild-catalog" in check.what_to_do for check in checks)
    patient = Patient(None, composed.settings, NOW, UNREACHABLE)
    checks = data_checks.check_store(patient)
    assert any("--rm upkeep rebuild-catalog" in check.what_to_do for check in checks)


def test_services_at_work_are_looked_at_twice(
    workspace: Workspace, composed: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = make_image(workspace, Wanted())
    mark = workspace.store.get(keys.detections(image))
    workspace.store.delete(keys.detections(image))
    monkeypatch.setattr(time, "sleep", lambda _: workspace.store.put(keys.detections(image), mark))
    (check,) = data_checks.check_store(Patient(None, composed.settings, NOW, UNREACHABLE))
    assert (check.status, check.what_to_do) == ("ok", "")


def test_models_elsewhere_are_not_looked_for(
    composed: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DETECTION_MODELS_CACHE", str(tmp_path))
    assert machine_checks.check_models(Patient(None, composed.settings, NOW, UNREACHABLE)) == []


def test_raw_frames_past_their_lifetime_are_a_warning(workspace: Workspace) -> None:
    make_image(workspace, Wanted(state="stored"))
    make_image(workspace, Wanted(at=MORNING + timedelta(hours=3), state="dropped"))
    at_24_h = of_workspace(workspace, MORNING + timedelta(hours=24))
    (check,) = data_checks.check_lifetimes(at_24_h)
    assert check.status == "warn"
    assert check.what.startswith("1 of 2 ")
    assert statuses(data_checks.check_lifetimes(of_workspace(workspace))) == {"raw frames": "ok"}
