from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.round_trip import RoundTrip
from traboule.workspace import open_workspace


@pytest.fixture
def trip(tmp_path: Path) -> Iterator[RoundTrip]:
    with closing(open_workspace(tmp_path)) as workspace:
        yield RoundTrip(workspace)
