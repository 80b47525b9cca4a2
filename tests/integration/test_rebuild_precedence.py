"""What a rebuilt catalog makes of an image that the store has twice, in pieces or erased."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from pipeline import keys
from pipeline.catalog.drops import DropFilter
from pipeline.catalog.images import ImageFilter
from pipeline.records import Detections, ImageState, Outcome, Provenance, Tombstone
from pipeline.storage import ObjectStore, put_json
from services.maintenance.audit import Mismatch, audit
from services.maintenance.rebuild import Rebuilt
from tests.stages import Stages, draw, open_stages, rebuild

pytestmark = pytest.mark.integration


@pytest.fixture
def stages(tmp_path: Path) -> Iterator[Stages]:
    stages = open_stages(tmp_path)
    yield stages
    stages.catalog.close()


@dataclass(frozen=True)
class Copied:
    """The objects of one image, to be laid beside what became of it."""

    store: ObjectStore
    key: Callable[[str], str]
    mark: Callable[[str], str]

    def lay(self, image: str, provenance: Provenance) -> None:
        frame = self.store.get(keys.stored_image(image))
        self.store.put(self.key(provenance.id), frame)
        put_json(self.store, self.mark(provenance.id), provenance.model_dump_json())


def provenance_of(stages: Stages, image: str) -> Provenance:
    data = stages.store.get(keys.detections(image)).data
    return Detections.model_validate_json(data).provenance


def test_frame_left_beside_its_detections_is_no_second_image(
    stages: Stages, tmp_path: Path
) -> None:
    image = stages.keep(draw(1))
    frames = Copied(stages.store, keys.frame, keys.frame_mark)
    frames.lay(image, provenance_of(stages, image))
    assert rebuild(stages, tmp_path) == Rebuilt(detected=1, ignored=1)
    assert stages.row(image).state == ImageState.DETECTED
    stages.take_up()
    assert audit(stages.catalog, stages.store).is_sound


def test_image_half_restored_is_stored(stages: Stages, tmp_path: Path) -> None:
    image = stages.keep(draw(1))
    provenance = provenance_of(stages, image)
    for place in (
        Copied(stages.store, keys.frame, keys.frame_mark),
        Copied(stages.store, keys.dropped, keys.dropped_mark),
    ):
        place.lay(image, provenance)
    for key in (keys.detections(image), keys.stored_image(image)):
        stages.store.delete(key)
    stages.detecting = False
    assert rebuild(stages, tmp_path) == Rebuilt(stored=1, ignored=1)
    assert stages.row(image).state == ImageState.STORED
    assert stages.catalog.drops.search(DropFilter()) == []
    stages.take_up()
    assert stages.keys(keys.DROPPED) == []


@pytest.mark.parametrize("place", ["frames", "dropped", "detections"])
def test_lowest_id_of_one_pair_wins(stages: Stages, tmp_path: Path, place: str) -> None:
    image = stages.keep(draw(1))
    provenance = provenance_of(stages, image)
    text = stages.store.get(keys.detections(image)).data
    [low, high] = (
        provenance.model_copy(update={"id": keys.image_id("quai", at, provenance.sha256_received)})
        for at in (provenance.captured_at.replace(year=2001), provenance.captured_at)
    )
    result = Detections.model_validate_json(text)
    for one in (high, low):
        if place == "detections":
            again = replace_provenance(result, one)
            put_json(stages.store, keys.detections(one.id), again)
        elif place == "frames":
            Copied(stages.store, keys.frame, keys.frame_mark).lay(image, one)
        else:
            Copied(stages.store, keys.dropped, keys.dropped_mark).lay(image, one)
    if place != "detections":
        stages.store.delete(keys.detections(image))
    rebuilt = rebuild(stages, tmp_path)
    assert replace(rebuilt, ignored=0) != Rebuilt()
    assert rebuilt.ignored == 1
    [row] = stages.catalog.images.search(ImageFilter(limit=None))
    assert row.id == low.id


def replace_provenance(result: Detections, provenance: Provenance) -> str:
    return result.model_copy(update={"provenance": provenance}).model_dump_json()


def test_tombstone_wins_over_whatever_is_left(stages: Stages, tmp_path: Path) -> None:
    image = stages.keep(draw(1))
    provenance = provenance_of(stages, image)
    Copied(stages.store, keys.frame, keys.frame_mark).lay(image, provenance)
    Copied(stages.store, keys.dropped, keys.dropped_mark).lay(image, provenance)
    tombstone = Tombstone(
        id=image,
        source=provenance.source,
        sha256_received=provenance.sha256_received,
        erased_at=stages.clock(),
    )
    put_json(stages.store, keys.tombstone(image), tombstone.model_dump_json())
    assert rebuild(stages, tmp_path) == Rebuilt(tombstones=1, ignored=3)
    assert stages.catalog.images.search(ImageFilter(limit=None)) == []
    assert audit(stages.catalog, stages.store).found == {Mismatch.ERASED_BUT_LEFT: (image,)} | {
        Mismatch.WITHOUT_ROW: (image,)
    }
    stages.take_up()
    assert stages.keys() == [keys.tombstone(image)]
    assert stages.take(draw(1)).outcome is Outcome.ERASED
