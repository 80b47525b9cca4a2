"""A catalog made anew from the store lists what the old one listed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from pipeline.catalog import Catalog
from pipeline.catalog.drops import DropFilter
from pipeline.catalog.images import ImageFilter
from pipeline.errors import ModelUnavailable
from pipeline.records import (
    BoundingBox,
    Camera,
    Detection,
    ImageState,
    Outcome,
)
from services.detection.detector import DecodedImage
from services.maintenance.audit import audit
from services.maintenance.erasure import delete_image
from services.maintenance.rebuild import Rebuilt
from services.maintenance.restoring import restore_drop
from services.scheduler.sources import save_camera
from tests.stages import CAMERA, Bright, Stages, draw, open_stages, rebuild

pytestmark = pytest.mark.integration

PAUSED = CAMERA.model_copy(update={"id": "pont", "name": "Le pont", "paused": True})
CAMERAS = (CAMERA, PAUSED)
LISTED = (ImageState.STORED, ImageState.AWAITING_MODEL, ImageState.DETECTED, ImageState.QUARANTINED)
STORED_AGAIN = {ImageState.AWAITING_MODEL, ImageState.QUARANTINED}

Listing = Mapping[str, object]


class Busy(Bright):
    """Sees two cars in every picture besides."""

    def _find(self, image: DecodedImage) -> tuple[Detection, ...]:
        box = BoundingBox(x1=10, y1=10, x2=60, y2=50)
        car = Detection(label="car", score=0.8, box=box, detector=self.name)
        return (*super()._find(image), car, car)


class Unbelieving(Bright):
    """Finds a face whatever was blurred."""

    def detect(self, images: Sequence[DecodedImage]) -> list[tuple[Detection, ...]]:
        box = BoundingBox(x1=10, y1=10, x2=60, y2=50)
        return [(Detection(label="face", score=0.8, box=box, detector=self.name),) for _ in images]


class Missing(Bright):
    def detect(self, images: Sequence[DecodedImage]) -> list[tuple[Detection, ...]]:
        raise ModelUnavailable("yunet is missing")


def fill(stages: Stages) -> dict[str, str]:
    """One image of every kind of each camera: what it is, to its id."""
    made = {}
    for number, camera in enumerate(CAMERAS):
        seeds = iter(range(100 * number, 100 * number + 10))
        save_camera(stages.catalog, stages.store, camera, stages.clock())

        def keep(kind: str, body: bytes, camera: Camera = camera) -> str:
            made[f"{camera.id} {kind}"] = stages.keep(body, camera)
            return made[f"{camera.id} {kind}"]

        stages.detecting, stages.detectors = True, [Busy()]
        near = draw(next(seeds))
        keep("detected", near)
        keep("dropped", near + b"one byte more")
        restore_drop(stages.maintenance, keep("restored", near + b"two bytes more"))
        delete_image(stages.maintenance, keep("erased", draw(next(seeds))), "asked to")
        delete_image(stages.maintenance, keep("erased drop", near + b"and three bytes more"))
        stages.detectors = [Unbelieving()]
        keep("quarantined", draw(next(seeds)))
        stages.detectors = [Missing()]
        keep("awaiting", draw(next(seeds)))
        stages.detecting = False
        keep("stored", draw(next(seeds)))
    return made


def bodies() -> Iterator[tuple[Camera, bytes]]:
    """Every frame that `fill` had come."""
    for number, camera in enumerate(CAMERAS):
        near = draw(100 * number)
        endings = (b"", b"one byte more", b"two bytes more", b"and three bytes more")
        yield from ((camera, near + ending) for ending in endings)
        yield from ((camera, draw(100 * number + seed)) for seed in range(1, 5))


def list_images(catalog: Catalog, rename: Callable[[str], str] = str) -> list[Listing]:
    rows = catalog.images.search(ImageFilter(states=LISTED, limit=None))
    return [
        {
            "id": row.id,
            "source": row.source,
            "sha256": row.sha256_received,
            "time": row.captured_at,
            "state": rename(row.state),
            "reason": "" if row.state in STORED_AGAIN else row.reason,
            "size": (row.width, row.height),
            "phash": row.phash,
            "found": (row.faces, row.vehicles),
            "labels": {one.label: one.count for one in row.labels},
        }
        for row in rows
    ]


def list_drops(catalog: Catalog) -> list[Listing]:
    return [
        {
            name: getattr(row, name)
            for name in ("image_id", "source", "at", "outcome", "reason", "resembles", "expires_at")
        }
        for row in catalog.drops.search(DropFilter(restorable=True, limit=1000))
    ]


def list_tombstones(catalog: Catalog) -> list[Listing]:
    return [
        {name: getattr(row, name) for name in ("id", "source", "sha256_received", "erased_at")}
        for row in catalog.tombstones.all()
    ]


def list_cameras(catalog: Catalog) -> list[Listing]:
    return [
        {"id": row.id, "record": row.record, "host": row.host, "paused": row.paused}
        for row in catalog.cameras.all()
    ]


@pytest.fixture
def stages(tmp_path: Path) -> Iterator[Stages]:
    stages = open_stages(tmp_path)
    yield stages
    stages.catalog.close()


def test_rebuilt_catalog_lists_the_same(stages: Stages, tmp_path: Path) -> None:
    made = fill(stages)
    before = {row.id: row.state for row in stages.catalog.images.search(ImageFilter(limit=None))}
    assert {kind: before.get(image) for kind, image in made.items() if kind.startswith("pont")} == {
        "pont detected": "detected",
        "pont dropped": "dropped",
        "pont restored": "detected",
        "pont erased": None,
        "pont erased drop": None,
        "pont quarantined": "quarantined",
        "pont awaiting": "awaiting-model",
        "pont stored": "stored",
    }

    def come_back(state: str) -> str:
        return "stored" if state in STORED_AGAIN else state

    old = stages.catalog
    expected = (list_images(old, come_back), list_drops(old), list_tombstones(old))
    cameras = list_cameras(old)
    assert [len(one) for one in expected] == [10, 2, 4]
    objects = stages.keys()

    rebuilt = rebuild(stages, tmp_path)

    assert rebuilt == Rebuilt(cameras=2, tombstones=4, detected=4, stored=6, dropped=2)
    new = stages.catalog
    assert list_images(new) == expected[0]
    assert list_drops(new) == expected[1]
    assert list_tombstones(new) == expected[2]
    assert list_cameras(new) == cameras
    assert stages.keys() == objects, "rebuilding changes nothing in the store"
    assert audit(new, stages.store).is_sound


def test_frames_that_come_again_after_rebuilding_make_nothing_new(
    stages: Stages, tmp_path: Path
) -> None:
    fill(stages)
    rebuild(stages, tmp_path)
    objects = stages.keys()
    outcomes = [stages.take(body, camera).outcome for camera, body in bodies()]
    expected = [Outcome.SAME_BYTES] * 8
    expected[3] = expected[4] = Outcome.ERASED
    assert outcomes == expected * 2
    assert stages.keys() == objects


def test_rebuilt_camera_still_knows_how_its_last_images_looked(
    stages: Stages, tmp_path: Path
) -> None:
    made = fill(stages)
    rebuild(stages, tmp_path)
    again = stages.take(draw(4) + b"a byte that never came")
    assert (again.outcome, again.resembles) == (Outcome.NEAR_DUPLICATE, made["quai stored"])


def test_pipeline_goes_on_where_the_old_catalog_ended(stages: Stages, tmp_path: Path) -> None:
    made = fill(stages)
    rebuild(stages, tmp_path)
    stages.detecting, stages.detectors = True, [Bright()]
    stages.take_up()
    states = {row.id: row.state for row in stages.catalog.images.search(ImageFilter(limit=None))}
    for kind in ("quarantined", "awaiting", "stored"):
        assert states[made[f"quai {kind}"]] == ImageState.DETECTED
    restore_drop(stages.maintenance, made["quai dropped"])
    assert stages.row(made["quai dropped"]).state == ImageState.DETECTED
    assert audit(stages.catalog, stages.store).is_sound
