from __future__ import annotations

from datetime import timedelta

import pytest

from tests.factories import MORNING
from traboule.labels.projects import address_of, find_row, list_known
from traboule.workspace import Workspace


@pytest.mark.parametrize(
    ("key", "address"),
    [
        ("http://127.0.0.1:8080#1", "http://127.0.0.1:8080/projects/1"),
        ("https://labels.example/ls#12@20261121", "https://labels.example/ls/projects/12"),
        ("import:set", "import:set"),
    ],
)
def test_address_is_a_browsers(key: str, address: str) -> None:
    assert address_of(key) == address


def test_project_that_answered_last_comes_first(workspace: Workspace) -> None:
    projects, url = workspace.catalog.labeling_projects, "http://127.0.0.1:8080"
    projects.failed(f"{url}#", "it does not answer")
    assert list_known(workspace.catalog, url) == []
    row = find_row(workspace.catalog, url)
    assert row is not None and row.reason == "it does not answer"
    for minutes, number in enumerate((7, 9, 8)):
        projects.contacted(f"{url}#{number}", MORNING + timedelta(minutes=minutes))
    projects.contacted("http://elsewhere#1", MORNING + timedelta(days=1))
    projects.failed(f"{url}#3", "it was never reached")
    assert list_known(workspace.catalog, url) == [f"{url}#8", f"{url}#9", f"{url}#7"]
    row = find_row(workspace.catalog, url)
    assert row is not None and row.project == f"{url}#8"
