from __future__ import annotations

import socket
from pathlib import Path

import pytest
import requests

from pipeline import keys
from pipeline.errors import UserError
from pipeline.labels.interface import write_interface
from pipeline.storage import StoredObject
from services.labeling.settings import LabelingSettings
from tests.ml_backend import Painted, paint
from tests.unit.traboule.conftest import FIRST_PORT
from traboule.labels import prediction_service
from traboule.labels.connecting import make_secrets
from traboule.labels.connection import LOOPBACK, KnownStudio, settings_of
from traboule.labels.installation import find_port
from traboule.labels.prediction_service import predicting
from traboule.workspace import Workspace

OURS = "quai-20261121T091640Z-8be14bda"


@pytest.fixture
def settings(workspace: Workspace) -> LabelingSettings:
    assert workspace.data is not None
    make_secrets(workspace.data)
    known = KnownStudio(
        url="http://127.0.0.1:1",
        token_file=Path("token"),
        images_port=1,
        backend_port=find_port(FIRST_PORT),
        is_ours=True,
    )
    return settings_of(workspace.data, known)


def refuse(app: object, host: str, port: int) -> None:
    raise UserError(f"cannot listen on {host}:{port}")


@pytest.fixture
def _painted(monkeypatch: pytest.MonkeyPatch) -> None:
    detectors = {"yolox-nano": Painted(), "yunet": Painted("yunet", ("face",), None, True)}
    monkeypatch.setattr(
        "services.detection.backend.serving.keep_detectors",
        lambda models: lambda names: [detectors[name] for name in names],
    )


def ask(settings: LabelingSettings, password: str, task: object) -> requests.Response:
    body = {"tasks": [task], "project": "1.1", "label_config": write_interface(["car", "bus"])}
    with requests.Session() as session:
        session.trust_env = False
        login = (settings.backend_user, password)
        return session.post(f"{settings.backend_url}/predict", json=body, auth=login, timeout=30)


@pytest.mark.usefixtures("_painted")
def test_predictions_are_given_to_whoever_has_this_folders_password(
    workspace: Workspace, settings: LabelingSettings
) -> None:
    told: list[str] = []
    workspace.store.put(keys.stored_image(OURS), StoredObject(paint("bus"), "image/jpeg"))
    task = {"id": 1, "data": {"image": "http://127.0.0.1:9/x.jpg", "image_id": OURS}}
    assert settings.backend_password_file is not None
    password = settings.backend_password_file.read_text()
    with predicting(settings, workspace.store, told.append) as served:
        assert served == settings
        [[prediction]] = ask(settings, password, task).json()["results"]
        assert prediction["result"][0]["value"]["rectanglelabels"] == ["bus"]
        assert ask(settings, "guess", task).status_code == 401
    assert told == []
    with pytest.raises(requests.ConnectionError):
        ask(settings, password, task)


def test_what_is_missing_is_told_and_all_else_goes_on(
    workspace: Workspace,
    settings: LabelingSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("TRABOULE_MODELS_DIR", raising=False)
    monkeypatch.setenv("DETECTION_MODELS_CACHE", str(tmp_path))
    monkeypatch.setattr(prediction_service, "serving", refuse)
    told: list[str] = []
    with predicting(settings, workspace.store, told.append) as served:
        [model, place] = told
    assert "yolox-nano is missing" in model and "traboule models pull" in model
    assert "no predictions are given: cannot listen" in place
    assert served == settings.model_copy(update={"backend_url": None})


@pytest.mark.usefixtures("_painted")
def test_another_program_at_the_port_is_given_nothing(
    workspace: Workspace, settings: LabelingSettings
) -> None:
    port = int((settings.backend_url or "").rpartition(":")[2])
    with (
        socket.create_server((LOOPBACK, port)) as other,
        predicting(settings, workspace.store, pytest.fail) as served,
    ):
        assert served.backend_url != settings.backend_url
        assert ask(served, "guess", {}).status_code == 401
        other.setblocking(False)
        with pytest.raises(BlockingIOError):
            other.accept()
