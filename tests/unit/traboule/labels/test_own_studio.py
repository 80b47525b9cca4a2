from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from pipeline.errors import UserError
from tests.factories import Wanted, make_camera, make_image
from tests.fake_studio import FakeStudio
from tests.round_trip import TOKEN
from tests.unit.traboule.conftest import FIRST_PORT
from traboule.labels import own_studio
from traboule.labels.connection import find_known, place_of, settings_of
from traboule.labels.installation import RunningStudio, find_port
from traboule.labels.own_studio import serve
from traboule.workspace import Workspace


@pytest.fixture
def port() -> int:
    return find_port(FIRST_PORT)


@pytest.fixture
def images_port() -> int:
    return find_port(FIRST_PORT + 50)


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch, images_port: int) -> list[str]:
    """Label Studio is not started; a person ends it as soon as it is. The addresses it had."""
    addresses: list[str] = []

    @contextmanager
    def run_it(program: Path, folder: Path, port: int, tell: object) -> Iterator[RunningStudio]:
        url = f"http://127.0.0.1:{port}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "token").write_text(TOKEN)
        with socket.create_server(("127.0.0.1", port)):
            yield RunningStudio(url, "ann@localhost", folder / "password", folder / "token")
        addresses.append(url)

    monkeypatch.setattr(own_studio, "running_studio", run_it)
    monkeypatch.setattr(own_studio, "find_program", lambda tell, often: Path("label-studio"))
    monkeypatch.setattr(own_studio, "FIRST_IMAGES_PORT", images_port)
    monkeypatch.setenv("TRABOULE_MODELS_DIR", "/nowhere")
    monkeypatch.setenv("DETECTION_MODELS_CACHE", "/nowhere")
    return addresses


def tell(workspace: Workspace, port: int | None = None, last: str = "until Ctrl-C") -> list[str]:
    """What is said until Ctrl-C, which comes with the word that all is well."""
    told: list[str] = []

    def hear(line: str) -> None:
        told.append(line)
        if last in line:
            os.kill(os.getpid(), signal.SIGINT)

    serve(workspace, port, hear, hear)
    return told


def test_serve_connects_says_where_to_sign_in_and_ends(
    workspace: Workspace, studio: FakeStudio, ended: list[str], port: int
) -> None:
    assert workspace.data is not None
    told = tell(workspace, port)
    url = f"http://127.0.0.1:{port}"
    assert told[0].startswith(f"Sign in at {url} as ann@localhost; password: ")
    assert told[-1] == "Label Studio has ended; go on with: traboule labels serve"
    known = find_known(workspace.data)
    assert known is not None and (known.url, known.is_ours) == (url, True)
    assert known.backend_port is not None and known.backend_port > known.images_port
    assert tell(workspace)[0] == told[0]
    assert ended == [url, url]
    assert find_known(workspace.data) == known
    taken = socket.create_server(("127.0.0.1", known.backend_port))
    with taken:
        tell(workspace)
    again = find_known(workspace.data)
    assert again is not None and again.backend_port not in (None, known.backend_port)


def test_serve_gives_its_project_the_predictions_it_serves(
    workspace: Workspace, studio: FakeStudio, ended: list[str], port: int
) -> None:
    assert workspace.data is not None
    told = tell(workspace, port)
    known = find_known(workspace.data)
    assert known is not None
    password = place_of(workspace.data) / "backend-password"
    assert password.stat().st_mode & 0o077 == 0
    settings = settings_of(workspace.data, known)
    assert settings.backend_url == f"http://127.0.0.1:{known.backend_port}"
    assert settings.backend_password_file == password
    assert any("yolox-nano is missing" in line for line in told)


def test_program_that_took_the_port_meanwhile_is_not_named_to_label_studio(
    workspace: Workspace,
    studio: FakeStudio,
    ended: list[str],
    images_port: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It would be given the password of predictions."""
    wished = images_port + 1
    with ExitStack() as others:

        def install(tell: object, often: object) -> Path:
            others.enter_context(socket.create_server(("127.0.0.1", wished)))
            return Path("label-studio")

        monkeypatch.setattr(own_studio, "find_program", install)
        make_camera(workspace)
        make_image(workspace, Wanted(labels={"car": 1}))
        tell(workspace, last="sent 1 image")
    assert workspace.data is not None
    known = find_known(workspace.data)
    assert known is not None and known.backend_port not in (None, wished)
    [(url, *_)] = studio.backends.values()
    assert url == f"http://127.0.0.1:{known.backend_port}"


@pytest.mark.parametrize("later", [0, 1])
def test_its_ports_are_told_apart(
    workspace: Workspace, studio: FakeStudio, ended: list[str], images_port: int, later: int
) -> None:
    """Also where a person chooses one that images, or predictions, would have."""
    tell(workspace, images_port + later)
    assert workspace.data is not None
    known = find_known(workspace.data)
    assert known is not None
    ports = {int(known.url.rpartition(":")[2]), known.images_port, known.backend_port}
    assert (len(ports), None in ports) == (3, False)


def test_its_address_stays_as_it_is(
    workspace: Workspace, studio: FakeStudio, ended: list[str], port: int
) -> None:
    tell(workspace, port)
    with pytest.raises(UserError, match="its port stays as it is"):
        tell(workspace, port + 1)
    with (
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(UserError, match="is taken by another program"),
    ):
        tell(workspace)
    assert len(ended) == 1


def test_first_port_that_is_taken_is_refused(
    workspace: Workspace, ended: list[str], port: int
) -> None:
    with (
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(UserError, match=f"port {port} is taken"),
    ):
        tell(workspace, port)
    assert workspace.data is not None
    assert find_known(workspace.data) is None


def test_another_label_studio_is_disconnected_first(
    workspace: Workspace, connected: str, ended: list[str]
) -> None:
    with pytest.raises(UserError, match="traboule labels disconnect"):
        tell(workspace)


def test_in_containers_it_is_a_service(composed: Workspace, ended: list[str]) -> None:
    with pytest.raises(UserError, match="docker compose up"):
        tell(composed)


def test_folder_is_for_its_owner_alone(
    workspace: Workspace, studio: FakeStudio, ended: list[str], port: int
) -> None:
    tell(workspace, port)
    assert workspace.data is not None
    assert place_of(workspace.data).stat().st_mode & 0o077 == 0
