from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.raw_server import Serve, start_servers


@pytest.fixture
def serve() -> Iterator[Serve]:
    with start_servers() as start:
        yield start
