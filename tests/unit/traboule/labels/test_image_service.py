from __future__ import annotations

import socket
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path

import pytest

from pipeline.messages import FollowChanges, Message
from services.labeling.settings import LabelingSettings, read_secret
from services.labeling.signing import sign
from tests.factories import Wanted, make_image
from tests.unit.traboule.conftest import FIRST_PORT
from tests.waiting import wait_until
from traboule.labels import image_service
from traboule.labels.connecting import make_secrets
from traboule.labels.connection import KnownStudio, place_of, settings_of
from traboule.labels.image_service import LOCK, ImageService, is_held
from traboule.labels.installation import find_port
from traboule.workspace import Workspace


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_service, "TRIED_EVERY_S", 0.05)


@pytest.fixture
def data(workspace: Workspace) -> Path:
    assert workspace.data is not None
    make_secrets(workspace.data)
    return workspace.data


@pytest.fixture
def settings(data: Path) -> LabelingSettings:
    port = find_port(FIRST_PORT)
    known = KnownStudio(
        url="http://127.0.0.1:1", token_file=data / "token", images_port=port, is_ours=True
    )
    return settings_of(data, known)


def ask(port: int, path: str, method: str = "GET", headers: dict[str, str] | None = None) -> int:
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, headers=headers or {})
        return connection.getresponse().status
    finally:
        connection.close()


def serve(workspace: Workspace, settings: LabelingSettings, told: list[Message]) -> ImageService:
    assert workspace.data is not None
    return ImageService(workspace.data, settings, workspace.store, told.append)


def test_images_are_shown_by_signed_addresses_and_hints_taken(
    workspace: Workspace,
    data: Path,
    settings: LabelingSettings,
) -> None:
    image, told = make_image(workspace, Wanted()), list[Message]()
    secret = read_secret(settings.images_secret_file, "a secret")
    knock = {"X-Traboule-Secret": read_secret(settings.webhook_secret_file, "a secret")}
    path = f"/images/{image}.jpg"
    with serve(workspace, settings, told) as service:
        assert service.trouble == ""
        assert is_held(place_of(data) / LOCK)
        assert ask(settings.api_port, f"{path}?signature={sign(secret, image)}") == 200
        assert ask(settings.api_port, path) == 404
        assert ask(settings.api_port, "/webhook", "POST") == 401
        assert ask(settings.api_port, "/webhook", "POST", knock) == 204
        wait_until(lambda: told == [FollowChanges()])
    wait_until(lambda: not is_held(place_of(data) / LOCK))


def test_of_two_one_serves_and_the_other_takes_over(
    workspace: Workspace, data: Path, settings: LabelingSettings
) -> None:
    ending = ExitStack()
    first = ending.enter_context(serve(workspace, settings, []))
    with ending, serve(workspace, settings, []) as waiting:
        assert (first.trouble, waiting.trouble) == ("", "")
        ending.close()
        wait_until(lambda: is_held(place_of(data) / LOCK))
        wait_until(lambda: answers(settings.api_port))


def test_port_that_is_taken_is_told_and_waited_for(
    workspace: Workspace, settings: LabelingSettings
) -> None:
    with socket.create_server(("127.0.0.1", settings.api_port)) as taken:
        service = serve(workspace, settings, [])
        with service:
            wait_until(lambda: "cannot listen" in service.trouble)
            taken.close()
            wait_until(lambda: answers(settings.api_port))
            wait_until(lambda: service.trouble == "")


def answers(port: int) -> bool:
    try:
        return ask(port, "/health") == 200
    except OSError:
        return False


def test_lock_that_never_was_is_not_held(tmp_path: Path) -> None:
    assert not is_held(tmp_path / LOCK)
