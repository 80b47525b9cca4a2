from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.storage import ObjectStore, open_store
from tests.ml_backend import RunningBackend, run_backend
from tests.raw_server import Serve, start_servers


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return open_store((tmp_path / "store").as_uri())


@pytest.fixture
def backend(store: ObjectStore, tmp_path: Path) -> Iterator[RunningBackend]:
    with run_backend(store, tmp_path / "password") as running:
        yield running


@pytest.fixture
def serve() -> Iterator[Serve]:
    with start_servers() as start:
        yield start
