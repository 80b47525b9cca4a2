from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from PIL import Image

from pipeline.errors import FetchError, TransientError
from pipeline.fetch import Fetcher, FetchLimits
from pipeline.records import Camera, Outcome, Policy
from services.scheduler.feeds.simulation import discover, parse
from services.simulation.city import City
from services.simulation.server import CityServer, serve

HOST = "simulation:8090"


@pytest.fixture
def fetcher() -> Fetcher:
    return Fetcher(FetchLimits(deadline_s=60), "tests")


@pytest.fixture
def city(tmp_path: Path) -> Iterator[CityServer]:
    """Two streets, and a folder of photographs."""
    Image.new("RGB", (40, 30)).save(tmp_path / "1.png")
    with serve(City(2, refresh_s=2.0, folders=(tmp_path,))) as server:
        yield server


def row(**other: Any) -> dict[str, Any]:
    return {
        "id": "sim-1",
        "name": "Simulated street 1, day",
        "url": f"http://{HOST}/camera/sim-1.jpg",
        "refresh_s": 2.0,
        "latitude": 45.761,
        "longitude": 4.832,
        "drawn": True,
        **other,
    }


def parse_rows(*rows: Any) -> list[Camera]:
    return parse(json.dumps(rows).encode(), HOST)


def test_city_that_runs_lists_its_cameras(fetcher: Fetcher, city: CityServer) -> None:
    street, other, folder = discover(fetcher, f"{city.url}/")
    assert (street.id, other.id, folder.id) == ("sim-1", "sim-2", "folder-1")
    assert street.url == city.camera_url("sim-1")
    assert fetcher.fetch(street.url).body.startswith(b"\xff\xd8")
    assert (street.feed, street.every_s) == ("simulation", 2.0)
    assert (street.licence, street.attribution) == ("CC0", "Traboule's simulated city")
    assert street.policy is Policy.KEEP
    assert street.detectors == ("haar", "moving-object"), "they need no file"


def test_photographs_are_anonymised_like_any_other_cameras(
    fetcher: Fetcher, city: CityServer
) -> None:
    folder = discover(fetcher, city.url)[-1]
    assert folder.policy is Policy.ANONYMISE
    assert (folder.detectors, folder.licence) == (("yunet", "yolox-nano"), "")


def test_camera_that_does_not_say_that_it_is_drawn_is_anonymised() -> None:
    for said in (None, "true", 1):
        [camera] = parse_rows(row(drawn=said))
        assert camera.policy is Policy.ANONYMISE


def test_city_that_is_not_there_is_unreachable(fetcher: Fetcher, city: CityServer) -> None:
    url = city.url
    city.close()
    with pytest.raises(FetchError) as caught:
        discover(fetcher, url)
    assert caught.value.outcome is Outcome.UNREACHABLE


def test_something_else_at_the_address_is_told(fetcher: Fetcher, city: CityServer) -> None:
    parts = urlsplit(city.camera_url("sim-1"))
    with pytest.raises(TransientError):
        discover(fetcher, f"http://{parts.netloc}{parts.path}?list=")


@pytest.mark.parametrize(
    "hostile",
    [
        row(url="http://169.254.169.254/camera/sim-1.jpg"),
        row(url="http://simulation/camera/sim-1.jpg"),
        row(url="http://simulation:8090@evil.example/camera/sim-1.jpg"),
        row(url="file://simulation:8090/etc/passwd"),
        row(url="http://[::1/"),
        row(url=None),
        row(id="../../etc"),
        row(id=None),
        row(name=None),
        row(refresh_s="soon"),
        row(refresh_s=10**400),
        row(latitude="north"),
        row(longitude=1e400),
        {},
        "not a row",
        None,
        [],
    ],
)
def test_row_that_is_no_camera_of_the_city_is_left_out(hostile: Any) -> None:
    assert [camera.id for camera in parse_rows(hostile, row(id="sim-2"))] == ["sim-2"]


@pytest.mark.parametrize(
    ("refresh_s", "every_s"), [(0.01, 1.0), (-1, 1.0), (2.5, 2.5), (1e300, 3600.0)]
)
def test_interval_is_within_reason(refresh_s: float, every_s: float) -> None:
    [camera] = parse_rows(row(refresh_s=refresh_s))
    assert camera.every_s == every_s


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b"3", b"\xff\xfe"])
def test_answer_that_is_no_list_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError):
        parse(body, HOST)
