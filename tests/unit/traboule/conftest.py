"""A data folder, and the command as a person runs it, in this process."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from traboule.__main__ import run_command
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
