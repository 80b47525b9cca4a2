from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stages import Stages, open_stages


@pytest.fixture
def stages(tmp_path: Path) -> Iterator[Stages]:
    """Nothing is detected until a test says so."""
    stages = open_stages(tmp_path)
    stages.detecting = False
    yield stages
    stages.catalog.close()
