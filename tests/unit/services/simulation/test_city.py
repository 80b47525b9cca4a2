"""Which frame a camera shows when."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from services.simulation.city import City


class Clock:
    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def save_pictures(folder: Path, count: int) -> list[bytes]:
    folder.mkdir()
    for number in range(count):
        Image.new("RGB", (40, 30), (60 * number, 90, 120)).save(folder / f"p{number}.jpg")
    (folder / "notes.txt").write_text("not a picture")
    return [(folder / f"p{number}.jpg").read_bytes() for number in range(count)]


def test_two_cities_of_one_seed_show_the_same_bytes() -> None:
    one, other = (City(2, clock=Clock()) for _ in range(2))
    for camera_id in ("sim-1", "sim-2"):
        assert one.frame(camera_id) == other.frame(camera_id)


def test_frame_stays_until_the_next_refresh() -> None:
    clock = Clock()
    city = City(1, refresh_s=10, clock=clock)
    first = city.frame("sim-1")
    clock.now += 9
    assert city.frame("sim-1") is first
    clock.now += 1
    after = city.frame("sim-1")
    assert after.number == first.number + 1
    assert after.picture != first.picture and after.etag != first.etag
    assert after.shown_since == first.shown_since + 10


def test_city_started_again_goes_on_where_it_was() -> None:
    clock = Clock()
    before = City(1, refresh_s=10, clock=clock).frame("sim-1").number
    clock.now += 25
    assert City(1, refresh_s=10, clock=clock).frame("sim-1").number == before + 2


def test_frame_is_a_jpeg_of_ordinary_size() -> None:
    frame = City(1, clock=Clock()).frame("sim-1")
    assert frame.picture.startswith(b"\xff\xd8") and frame.picture.endswith(b"\xff\xd9")
    assert 50_000 < len(frame.picture) < 300_000
    assert Image.open(io.BytesIO(frame.picture)).size == (1280, 720)


def test_odd_cameras_see_the_day_and_even_ones_the_night() -> None:
    city = City(2, clock=Clock())
    day, night = city.frame("sim-1").truth, city.frame("sim-2").truth
    assert day and day.daylight and day.frame == city.frame("sim-1").number
    assert night and not night.daylight
    assert [city.camera(one).validators for one in city.camera_ids] == [True, False]


def test_folder_is_shown_in_order_and_again(tmp_path: Path) -> None:
    pictures = save_pictures(tmp_path / "quay", 3)
    clock = Clock(1_000_003.0)
    city = City(0, refresh_s=5, clock=clock, folders=(tmp_path / "quay",))
    assert city.camera_ids == ("folder-1",)
    shown = []
    for _ in range(4):
        shown.append(city.frame("folder-1").picture)
        clock.now += 5
    assert shown == [*pictures, pictures[0]]
    assert city.frame("folder-1").truth is None


def test_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.jpg").mkdir()
    with pytest.raises(FileNotFoundError, match="no JPEG or PNG in"):
        City(0, folders=(tmp_path,))


def test_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*/none"):
        City(0, folders=(tmp_path / "none",))


def test_unknown_camera_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        City(1, clock=Clock()).frame("sim-2")
