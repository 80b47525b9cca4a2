from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.errors import UserError
from tests.studio_stand_in import LEGACY_TOKEN, StandIn, draw, stand_in_studio
from traboule.labels.connection import KnownStudio, remember
from traboule.labels.fetching import Fetch, fetch


@pytest.fixture
def studio() -> Iterator[StandIn]:
    with stand_in_studio() as made:
        made.add_task(3, "/data/upload/2/c8bee958-a.jpg")
        made.private["/data/upload/2/c8bee958-a.jpg"] = draw("red")
        yield made


@pytest.fixture
def wanted(tmp_path: Path) -> Fetch:
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/c8bee958-a.txt").write_bytes(b"0 0.5 0.5 0.25 0.25\n")
    return Fetch(tmp_path / "labels", None, None, tmp_path / "out", 1000.0, None, False)


def connect(tmp_path: Path, url: str) -> Path:
    token_file = tmp_path / "token"
    token_file.write_text(LEGACY_TOKEN)
    data = tmp_path / "data"
    remember(data, KnownStudio(url=url, token_file=token_file, images_port=8301))
    return data


@pytest.mark.parametrize("url", [None, "{}", "{}/projects/3/data?tab=1"])
def test_connected_studio_is_asked_with_its_token(
    studio: StandIn, tmp_path: Path, wanted: Fetch, url: str | None
) -> None:
    data = connect(tmp_path, studio.url)
    report, out = fetch(data, replace(wanted, url=url and url.format(studio.url)))
    assert (report.fetched, out) == (["c8bee958-a.txt"], tmp_path / "out")


@pytest.mark.parametrize(
    "url", ["http://labels.example.org", "https://labels.example.org:8443", "https://example.org"]
)
def test_token_of_the_connected_studio_is_for_its_own_address_alone(
    tmp_path: Path, wanted: Fetch, url: str
) -> None:
    data = connect(tmp_path, "https://labels.example.org")
    with pytest.raises(UserError, match="name the file that holds its token"):
        fetch(data, replace(wanted, url=url))


def test_studio_has_to_be_known(tmp_path: Path, wanted: Fetch) -> None:
    with pytest.raises(UserError, match="which Label Studio"):
        fetch(tmp_path / "data", wanted)
