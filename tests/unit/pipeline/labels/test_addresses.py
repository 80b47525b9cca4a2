"""An address in a task's data, and where that is; a server's own addresses told from others."""

from __future__ import annotations

import pytest

from pipeline.labels.addresses import is_on, locate

STUDIO = "https://lab.example/label-studio"


@pytest.mark.parametrize(
    ("address", "located"),
    [
        ("/data/upload/2/a.jpg", f"{STUDIO}/data/upload/2/a.jpg"),
        ("/label-studio/data/upload/2/a.jpg", f"{STUDIO}/data/upload/2/a.jpg"),
        ("http://cam/x y.jpg", "http://cam/x y.jpg"),
        ("s3://b/ü.jpg", f"{STUDIO}/tasks/7/resolve/?fileuri=czM6Ly9iL8O8LmpwZw%3D%3D"),
    ],
)
def test_address_is_located(address: str, located: str) -> None:
    assert locate(address, 7, STUDIO) == located


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("https://lab.example/x.jpg", True),
        ("HTTPS://LAB.example:443/x.jpg", True),
        ("http://lab.example/x.jpg", False),
        ("https://lab.example:444/x.jpg", False),
        ("https://lab.example@evil.example/x.jpg", False),
        ("https://me:x@lab.example/x.jpg", False),
        ("/data/x.jpg", False),
        ("http://[", False),
    ],
)
def test_server_knows_its_own(address: str, expected: bool) -> None:
    assert is_on(address, STUDIO) is expected
