"""A real Label Studio for tests, where one is installed, and the people who work in it.

    with start_label_studio() as server: server.url, server.token, server.stop(), server.start(), …

The first start on a machine makes its database (a minute); it is kept as a template beside the
installation, and a start from a copy of it takes a few seconds.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.runners import find_free_port
from traboule.labels.installation import (
    USERNAME,
    RunningStudio,
    environment_of,
    find_program,
    place_of,
    running_studio,
)

CACHE = Path.home() / ".cache" / "traboule"
ANNOTATOR = "annotator@localhost"
ANNOTATOR_TOKEN = "0123456789abcdef0123456789abcdef01234567"
HOW = "no Label Studio: run `traboule labels serve` once, or name one in TRABOULE_LABEL_STUDIO"


@dataclass
class StudioServer:
    """It keeps its data and its port while it is stopped."""

    program: Path
    folder: Path
    port: int
    url: str = ""
    token: str = field(default="", repr=False)
    annotator_token: str = ANNOTATOR_TOKEN
    _running: ExitStack = field(default_factory=ExitStack)

    def start(self) -> None:
        entered = self._running.enter_context(running_studio(self.program, self.folder, self.port))
        assert entered.url.endswith(f":{self.port}"), "somebody took the port meanwhile"
        self.url = entered.url
        self.token = entered.token_file.read_text().strip()

    def stop(self) -> None:
        self._running.close()

    def kill(self) -> None:
        """End it at once, in whatever it does."""
        os.kill(self.pid, signal.SIGKILL)
        self.stop()

    def pause(self) -> None:
        """Hang it: connections stay open, and nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    @property
    def pid(self) -> int:
        return int((self.folder / "lock").read_text())

    @property
    def username(self) -> str:
        return USERNAME

    @property
    def password(self) -> str:
        return (self.folder / "password").read_text().strip()


@contextmanager
def start_label_studio() -> Iterator[StudioServer]:
    """One with two users, and nothing else, of its own. Skips where none is installed."""
    program = find_label_studio()
    if program is None:
        pytest.skip(HOW)
    template = make_template(program)
    with tempfile.TemporaryDirectory(prefix="traboule-test-") as made:
        folder = Path(made) / "studio"
        shutil.copytree(template, folder)
        server = StudioServer(program, folder, find_free_port())
        try:
            server.start()
            yield server
        finally:
            server.stop()


def find_label_studio() -> Path | None:
    """The program: named in the environment (it or its virtual environment), on PATH, our own."""
    if named := os.environ.get("TRABOULE_LABEL_STUDIO"):
        inside = Path(named) / "bin" / "label-studio"
        return inside if inside.exists() else Path(named)
    on_path = shutil.which("label-studio")
    return Path(on_path) if on_path else find_program(CACHE)


def make_template(program: Path) -> Path:
    """Made once, whoever of several test runs comes first."""
    CACHE.mkdir(parents=True, exist_ok=True)
    template = CACHE / f"{place_of(CACHE).name}-seeded"
    with template.with_name(template.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not template.exists():
            partial = template.with_name(template.name + ".partial")
            shutil.rmtree(partial, ignore_errors=True)
            with running_studio(program, partial, 19_000):
                pass
            _add_annotator(program, partial)
            partial.rename(template)
    return template


def _add_annotator(program: Path, folder: Path) -> None:
    files = (folder / "annotator-password", folder / "annotator-token")
    for file, secret in zip(files, ("annotator", ANNOTATOR_TOKEN), strict=True):
        file.write_text(secret)
    annotator = RunningStudio("http://127.0.0.1:1", ANNOTATOR, *files)
    environment = environment_of(folder, annotator)
    subprocess.run(
        [program, "init", "-q"],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
        timeout=600,
    )


class People:
    """What people do in a real Label Studio, by the names that FakeStudio has for it."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["Authorization"] = f"Token {token}"

    def close(self) -> None:
        self._session.close()

    def annotate(self, task_id: int, result: Sequence[Mapping[str, Any]], **fields: Any) -> int:
        body = {"result": list(result), **fields}
        return int(self.ask("POST", f"/api/tasks/{task_id}/annotations/", body)["id"])

    def change_annotation(self, annotation_id: int, **fields: Any) -> None:
        self.ask("PATCH", f"/api/annotations/{annotation_id}/", fields)

    def delete_annotation(self, annotation_id: int) -> None:
        self.ask("DELETE", f"/api/annotations/{annotation_id}/")

    def delete_task(self, task_id: int) -> None:
        self.ask("DELETE", f"/api/tasks/{task_id}/")

    def delete_project(self, project_id: int) -> None:
        self.ask("DELETE", f"/api/projects/{project_id}/")

    def act(self, project_id: int, action: str, task_ids: Sequence[int]) -> None:
        """One of the data manager's actions, such as delete_tasks_annotations, on many tasks."""
        selected = {"selectedItems": {"all": False, "included": list(task_ids)}}
        self.ask("POST", f"/api/dm/actions?id={action}&project={project_id}", selected)

    def users(self) -> dict[str, int]:
        """Numbers by e-mail address."""
        return {user["email"]: user["id"] for user in self.ask("GET", "/api/users/")}

    def can_fetch(self, address: str) -> bool:
        """An uploaded image, for one. What is gone is a 500."""
        return self._session.get(self._url + address, timeout=60).ok

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        answer = self._session.request(method, self._url + path, json=body, timeout=60)
        answer.raise_for_status()
        return answer.json() if answer.content else None
