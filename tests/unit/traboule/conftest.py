"""A data folder, and the command as a person runs it, in this process."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.messages import (
    DeleteImage,
    Message,
    PushImages,
    RemoveCamera,
    RestoreDrop,
    SaveCamera,
)
from pipeline.settings import PipelineSettings
from services.labeling import tasks
from services.labeling.studio.access import Access, TokenKind
from tests.fake_studio import FakeStudio
from tests.round_trip import TOKEN
from traboule import sending
from traboule.__main__ import run_command
from traboule.commander import Direct
from traboule.labels import connecting
from traboule.workspace import Workspace, open_workspace


@dataclass(frozen=True)
class Ran:
    status: int | str | None
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Ran]
FIRST_PORT = 10_000 + os.getpid() % 80 * 100  # two test runs on one host rarely meet there


@dataclass
class Stages:
    """Whoever takes messages: notes them and does at once what they say, unless it is asleep."""

    workspace: Workspace
    asleep: bool = False
    sent: list[Message] = field(default_factory=list)

    def publish(self, message: Message) -> None:
        self.sent.append(message)
        here = Direct(self.workspace)
        match message:
            case _ if self.asleep:
                pass
            case SaveCamera():
                here.save_cameras([message.camera])
            case RemoveCamera():
                here.remove_camera(message.camera)
            case DeleteImage():
                here.delete_image(message.image, message.reason)
            case RestoreDrop():
                here.restore_drop(message.image)
            case PushImages():
                here.push_images(message.images)


@dataclass
class Clock:
    """Stands for `time`: it goes on only where somebody sleeps, and nobody is kept waiting."""

    now_s: float = 0.0

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    opened = open_workspace(tmp_path / "data")
    yield opened
    opened.close()


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `traboule` on the data folder, without colours."""
    monkeypatch.setenv("TRABOULE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "240")  # a usage error is wrapped elsewhere
    monkeypatch.delenv("PIPELINE_CATALOG_URL", raising=False)

    def run_it(*arguments: str) -> Ran:
        capsys.readouterr()
        status = run_command(arguments)
        out, err = capsys.readouterr()
        return Ran(status, out, err)

    return run_it


@pytest.fixture
def composed(workspace: Workspace) -> Workspace:
    """The same catalog and store, as if they were servers and stages processes of their own."""
    data = workspace.settings.model_dump() | {"broker_url": "redis://cli:secret@127.0.0.1:9/0"}
    return replace(workspace, data=None, settings=PipelineSettings(**data))


@pytest.fixture
def stages(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Stages:
    made = Stages(workspace)
    monkeypatch.setattr(sending, "open_sender", lambda url: made.publish)
    monkeypatch.setattr(sending, "time", Clock())
    monkeypatch.setattr(sending, "WAIT_S", 1.0)
    return made


@pytest.fixture
def run_composed(
    run: Run, composed: Workspace, stages: Stages, monkeypatch: pytest.MonkeyPatch
) -> Run:
    """Runs `traboule` as in a container: the environment says where everything is."""
    monkeypatch.delenv("TRABOULE_DATA")
    for piece in ("broker", "store", "catalog"):
        url = getattr(composed.settings, f"{piece}_url")
        monkeypatch.setenv(f"PIPELINE_{piece.upper()}_URL", url)
    return run


@pytest.fixture
def studio(monkeypatch: pytest.MonkeyPatch) -> FakeStudio:
    """The Label Studio at whatever address is connected to."""
    made = FakeStudio("http://127.0.0.1:8080")
    monkeypatch.setattr(tasks, "open_studio", lambda url, token: made)
    told = Access("1.23.2", "ann@example.com", TokenKind.LEGACY, None)
    monkeypatch.setattr(connecting, "check_access", lambda url, token: told)
    return made


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text(TOKEN)
    file.chmod(0o600)
    return file


@pytest.fixture
def connected(workspace: Workspace, studio: FakeStudio, token_file: Path) -> str:
    """The key of the project that the data folder is connected to."""
    made = connecting.connect(workspace, connecting.Asked(studio.url, token_file))
    return made.project.key
