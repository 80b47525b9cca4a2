from __future__ import annotations

import pytest

from traboule.labels.projects import address_of


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
