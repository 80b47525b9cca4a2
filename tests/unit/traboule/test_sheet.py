"""Contact sheets of a catalog and a folder store filled by hand."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from PIL import Image

from pipeline import keys
from pipeline.catalog import Catalog, open_catalog
from pipeline.catalog.images import Description, Found, ImageFilter, NewImage
from pipeline.errors import UserError
from pipeline.records import (
    BoundingBox,
    Camera,
    Conditions,
    Detection,
    Detections,
    ModelIdentity,
    Policy,
    Provenance,
    Thumbnail,
)
from pipeline.storage import FolderStore, StoredObject, put_json
from traboule.sheet import make_sheet, render, write_sheet

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


class WatchedStore(FolderStore):
    """A folder store that notes what is read."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.read: list[str] = []

    def get(self, key: str) -> StoredObject:
        self.read.append(key)
        return super().get(key)


@dataclass
class City:
    catalog: Catalog
    store: WatchedStore
    size: tuple[int, int] = (320, 240)
    count: int = field(default=0)
    models: tuple[str, ...] = ()

    def add_camera(self, camera_id: str, **about: str) -> None:
        record = {"id": camera_id, "url": "http://camera/", **about}
        self.catalog.cameras.save(Camera.model_validate(record), NOON)

    def add_stored(self, camera_id: str) -> str:
        """One minute younger than the one before."""
        self.count += 1
        at = NOON + timedelta(minutes=self.count)
        sha = hashlib.sha256(str(self.count).encode()).hexdigest()
        image = keys.image_id(camera_id, at, sha)
        self.catalog.images.begin(NewImage(image, camera_id, sha, at), at)
        self.catalog.images.mark_stored(image, Description(*self.size, "0" * 16, {}), at, at)
        self.store.put(keys.frame(image), StoredObject(b"a raw frame", "image/jpeg"))
        return image

    def add_detected(self, camera_id: str, *labels: str) -> str:
        image = self.add_stored(camera_id)
        found = self._detections(image, labels)
        jpeg = StoredObject(_draw(self.size), "image/jpeg")
        self.store.put(keys.stored_image(image), jpeg)
        put_json(self.store, keys.detections(image), found.model_dump_json())
        self.catalog.images.mark_detected(image, Found.summary_of(found))
        return image

    def quarantine(self, image: str, reason: str) -> None:
        self.catalog.work.claim(image, "token", NOON, NOON + timedelta(minutes=1))
        assert self.catalog.work.quarantine(image, "token", reason, NOON)

    def _detections(self, image: str, labels: tuple[str, ...]) -> Detections:
        width, height = self.size
        return Detections(
            provenance=_provenance(image, self.size),
            detections=tuple(_box(label, 10 * at) for at, label in enumerate(labels, 1)),
            models=tuple(ModelIdentity(name=name, sha256=None, licence="") for name in self.models),
            detected_at=NOON,
            sha256_stored="",
            bytes_stored=1,
            width=width,
            height=height,
            blurred=labels.count("face"),
            rounds=1,
        )


def _draw(size: tuple[int, int]) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, "teal").save(out, "JPEG")
    return out.getvalue()


def _box(label: str, size: float) -> Detection:
    box = BoundingBox(x1=5, y1=7, x2=5 + size, y2=7 + size)
    return Detection(label=label, score=0.876, box=box, detector="yolox-nano")


def _provenance(image: str, size: tuple[int, int]) -> Provenance:
    return Provenance(
        id=image,
        source=keys.source_of(image),
        captured_at=keys.captured_at(image),
        url="http://camera/",
        licence="Licence as captured",
        attribution="Somebody",
        policy=Policy.ANONYMISE,
        detectors=(),
        sha256_received="",
        bytes_received=1,
        content_type="image/jpeg",
        width=size[0],
        height=size[1],
        phash="0" * 16,
        conditions=Conditions(brightness=1, contrast=1),
        thumbnail=Thumbnail(width=1, height=1, pixels=b"0"),
    )


@pytest.fixture
def city(tmp_path: Path) -> Iterator[City]:
    catalog = open_catalog(f"sqlite:///{tmp_path / 'catalog.sqlite3'}")
    yield City(catalog, WatchedStore(tmp_path / "store"))
    catalog.close()


def test_sheet_lists_images_by_camera_newest_first(city: City) -> None:
    first = city.add_detected("quai", "car", "face", "car")
    other = city.add_detected("pont")
    second = city.add_detected("quai", "moving-object", "bus")
    sheet = make_sheet(city.catalog, city.store, ImageFilter())
    assert [(camera.id, [image.id for image in camera.images]) for camera in sheet.cameras] == [
        ("pont", [other]),
        ("quai", [second, first]),
    ]
    assert sheet.images[2].counts == {"face": 1, "car": 2}
    assert sheet.totals == {
        "images": 3,
        "cameras": 2,
        "faces blurred": 1,
        "vehicles": 3,
        "moving objects": 1,
    }


def test_sheet_reads_no_raw_frame(city: City) -> None:
    city.add_detected("quai", "car")
    city.add_stored("quai")
    city.quarantine(city.add_stored("quai"), "NotAnonymised: a face is left")
    sheet = make_sheet(city.catalog, city.store, ImageFilter())
    shown = {image.state: bool(image.jpeg) for image in sheet.images}
    assert shown == {"detected": True, "stored": False, "quarantined": False}
    assert {key.split("/")[0] for key in city.store.read} == {"images", "detections"}


@pytest.mark.parametrize("key_of", [keys.stored_image, keys.detections])
def test_image_deleted_meanwhile_is_left_out_and_counted(
    city: City, key_of: Callable[[str], str]
) -> None:
    city.add_detected("quai", "car")
    city.store.delete(key_of(city.add_detected("quai", "car")))
    sheet = make_sheet(city.catalog, city.store, ImageFilter())
    assert (len(sheet.images), sheet.gone, sheet.matching) == (1, 1, 2)


@pytest.mark.parametrize("key_of", [keys.stored_image, keys.detections])
def test_unreadable_object_becomes_a_card(city: City, key_of: Callable[[str], str]) -> None:
    city.store.put(key_of(city.add_detected("quai", "car")), StoredObject(b"{", "image/jpeg"))
    (image,) = make_sheet(city.catalog, city.store, ImageFilter()).images
    assert (image.jpeg, image.reason) == ("", "cannot be read from the object store")


def test_wide_image_is_reduced_and_its_boxes_are_not(city: City) -> None:
    city.size = (2400, 1800)
    city.add_detected("quai", "car")
    sheet = make_sheet(city.catalog, city.store, ImageFilter())
    (image,) = sheet.images
    with Image.open(io.BytesIO(base64.b64decode(image.jpeg))) as embedded:
        assert embedded.size == (960, 720)
    assert (image.width, image.height) == (2400, 1800)
    assert image.boxes == (_box("car", 10),)


def test_narrow_image_keeps_its_size(city: City) -> None:
    city.add_detected("quai", "car")
    (image,) = make_sheet(city.catalog, city.store, ImageFilter()).images
    with Image.open(io.BytesIO(base64.b64decode(image.jpeg))) as embedded:
        assert embedded.size == (320, 240)


def test_small_boxes_lie_on_top(city: City) -> None:
    city.add_detected("quai", "face", "person", "car")
    (image,) = make_sheet(city.catalog, city.store, ImageFilter()).images
    assert [box.label for box in image.boxes] == ["car", "person", "face"]


def test_limit_leaves_out_the_oldest(city: City) -> None:
    images = [city.add_detected("quai", "car") for _ in range(3)]
    sheet = make_sheet(city.catalog, city.store, ImageFilter(limit=2))
    assert [image.id for image in sheet.images] == [images[2], images[1]]
    assert sheet.matching == 3


def test_without_a_limit_sixty_are_shown(city: City) -> None:
    for _ in range(61):
        city.add_stored("quai")
    sheet = make_sheet(city.catalog, city.store, ImageFilter(limit=None))
    assert (len(sheet.images), sheet.matching) == (60, 61)


def test_every_camera_has_its_share(city: City) -> None:
    quiet = [city.add_stored("quiet") for _ in range(2)]
    shy = city.add_stored("shy")
    busy = [city.add_stored("busy") for _ in range(9)]
    sheet = make_sheet(city.catalog, city.store, ImageFilter(limit=8))
    assert {camera.id: [image.id for image in camera.images] for camera in sheet.cameras} == {
        "busy": busy[:-6:-1],
        "quiet": quiet[::-1],
        "shy": [shy],
    }
    assert sheet.matching == 12
    assert make_sheet(city.catalog, city.store, ImageFilter(camera="shy")).images[0].id == shy


def test_more_cameras_than_room_shows_the_newest(city: City) -> None:
    images = [city.add_stored(camera) for camera in ("a", "b", "c", "d")]
    sheet = make_sheet(city.catalog, city.store, ImageFilter(limit=2))
    assert [image.id for image in sheet.images] == images[2:]


def test_nothing_found_is_told_of_detectors_that_ran(city: City) -> None:
    city.models = ("yolox-nano",)
    city.add_detected("quai", "car")
    assert make_sheet(city.catalog, city.store, ImageFilter()).totals == {
        "images": 1,
        "cameras": 1,
        "people": 0,
        "vehicles": 1,
    }


def test_removed_camera_is_credited_from_its_images(city: City) -> None:
    city.add_camera("quai", attribution="Lyon", licence="Licence of today")
    city.add_detected("quai", "car")
    city.add_detected("pont", "car")
    pont, quai = make_sheet(city.catalog, city.store, ImageFilter()).cameras
    assert (pont.attribution, pont.licence) == ("Somebody", "Licence as captured")
    assert (quai.attribution, quai.licence) == ("Lyon", "Licence of today")


def test_polls_are_told_by_outcome_kept_first(city: City) -> None:
    city.add_camera("quai", name="Quai")
    for outcome in ("same-bytes", "same-bytes", "timed-out", "near-duplicate", "kept"):
        city.catalog.counters.add("quai", outcome, NOON)
    city.catalog.counters.add("pont", "kept", NOON)
    (polls,) = make_sheet(city.catalog, city.store, ImageFilter(camera="quai")).polls
    assert (polls.name, polls.total) == ("Quai", 5)
    assert list(polls.outcomes.items()) == [
        ("kept", 1),
        ("near-duplicate", 1),
        ("timed-out", 1),
        ("same-bytes", 2),
    ]


def test_sheet_is_written_whole(city: City, tmp_path: Path) -> None:
    sheet = make_sheet(city.catalog, city.store, ImageFilter())
    path = tmp_path / "out" / "sheet.html"
    path.parent.mkdir()
    path.write_text("the one before")
    assert write_sheet(sheet, path) == path
    assert path.read_text(encoding="utf-8") == render(sheet)
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("name", ["missing/sheet.html", "folder"])
def test_unwritable_path_is_named_and_nothing_is_left(
    city: City, tmp_path: Path, name: str
) -> None:
    (tmp_path / "folder").mkdir()
    before = sorted(tmp_path.iterdir())
    sheet = make_sheet(city.catalog, city.store, ImageFilter())
    with pytest.raises(UserError, match=f"cannot write .*{name}: "):
        write_sheet(sheet, tmp_path / name)
    assert [path for path in sorted(tmp_path.iterdir()) if "sqlite" not in path.name] == [
        path for path in before if "sqlite" not in path.name
    ]
