from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline import queues
from pipeline.catalog.integrity import Integrity
from pipeline.routes import ROUTES
from pipeline.settings import PipelineSettings
from tests.factories import MORNING
from traboule.check import Check, Contact, Patient
from traboule.server_checks import check_broker, check_object_store, judge_server
from traboule.workspace import Workspace

QUEUES = {route.queue for route in ROUTES}


@pytest.fixture
def patient(composed: Workspace) -> Patient:
    return Patient(None, composed.settings, MORNING, Contact("h", date=MORNING))


def with_url(patient: Patient, **urls: str) -> Patient:
    return replace(patient, settings=PipelineSettings(**(patient.settings.model_dump() | urls)))


def find_depths(
    patient: Patient, monkeypatch: pytest.MonkeyPatch, **depths: int | None
) -> tuple[Check, Check]:
    found = dict.fromkeys(sorted(QUEUES), 0) | depths
    monkeypatch.setattr(
        queues, "queue_depths", lambda url, names: {one: found[one] for one in names}
    )
    broker, waiting = check_broker(patient)
    return broker, waiting


def test_a_folder_has_no_servers(patient: Patient, workspace: Workspace) -> None:
    embedded = replace(patient, folder=workspace.data)
    assert [*check_broker(embedded), *check_object_store(embedded)] == []


def test_broker_that_is_away_fails_without_its_password(patient: Patient) -> None:
    (check,) = check_broker(patient)
    assert check.status == "fail"
    assert check.what.startswith("redis://***@127.0.0.1:9/0: ")
    assert "docker compose logs broker" in check.what_to_do


def test_queues_are_told_and_a_backlog_warned_of(
    patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker, waiting = find_depths(patient, monkeypatch, detection=500, capture=None)
    assert (broker.status, waiting.status, waiting.what_to_do) == ("ok", "ok", "")
    assert "detection 500" in waiting.what and "capture not ours to see" in waiting.what
    assert all(queue in waiting.what for queue in QUEUES)
    _, waiting = find_depths(patient, monkeypatch, detection=501)
    assert waiting.status == "warn"
    assert waiting.what_to_do.endswith("docker compose logs detection")


@pytest.mark.parametrize(("queue", "usual"), [("scheduler", 60), ("maintenance", 10)])
def test_what_beat_sends_and_nobody_takes_is_warned_of_within_minutes(
    patient: Patient, monkeypatch: pytest.MonkeyPatch, queue: str, usual: int
) -> None:
    assert find_depths(patient, monkeypatch, **{queue: usual})[1].status == "ok"
    assert find_depths(patient, monkeypatch, **{queue: usual + 15})[1].status == "warn"


def test_object_store_that_answers_tells_its_room(
    patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [check.status for check in check_object_store(patient)] == ["ok", "ok"]
    monkeypatch.setenv("CAPTURE_MIN_FREE_BYTES", str(10**18))
    assert [check.status for check in check_object_store(patient)] == ["ok", "fail"]


def test_object_store_that_is_away_fails_without_its_password(patient: Patient) -> None:
    away = with_url(patient, store_url="s3+http://cli:secret@127.0.0.1:9")
    (check,) = check_object_store(away)
    assert check.status == "fail"
    assert "secret" not in check.what
    assert "docker compose logs object-store" in check.what_to_do


@pytest.mark.parametrize(
    ("found", "status", "advice"),
    [
        (Integrity("", "0002", "0002"), "ok", ""),
        (Integrity("", "0001", "0002"), "fail", "init"),
        (Integrity("", None, "0002"), "fail", "init"),
        (Integrity("", "0009", "0002", is_known=False), "fail", "newer"),
        (Integrity("connection refused"), "fail", "docker compose logs catalog"),
        (Integrity('FATAL: password authentication failed for user "cli"'), "fail", "init"),
    ],
)
def test_catalog_of_a_server_is_judged(found: Integrity, status: str, advice: str) -> None:
    check = judge_server(found)
    assert check.status == status
    assert advice in check.what_to_do
