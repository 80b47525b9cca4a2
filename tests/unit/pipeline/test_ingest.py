from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from pipeline import keys
from pipeline.catalog.drops import DropFilter
from pipeline.errors import BrokerError, StorageError
from pipeline.frames import announce
from pipeline.messages import Message
from pipeline.records import ImageState, Outcome, Provenance
from pipeline.storage import FolderStore, StoredObject
from tests.stages import CAMERA, START, Stages, draw, open_stages


@pytest.fixture
def stages(tmp_path: Path) -> Stages:
    stages = open_stages(tmp_path)
    stages.detecting = False
    return stages


def test_kept_frame_lies_in_raw_with_its_provenance(stages: Stages) -> None:
    image = stages.take(draw(1)).image
    assert image is not None
    assert stages.keys() == [keys.frame(image), keys.frame_mark(image)]
    assert stages.store.get(keys.frame(image)).data == draw(1)
    assert stages.store.get(keys.frame(image)).content_type == "image/jpeg"
    mark = stages.store.get(keys.frame_mark(image)).data
    provenance = Provenance.model_validate_json(mark)
    assert provenance.captured_at == START + timedelta(seconds=10)
    assert (provenance.width, provenance.height) == (320, 240)
    assert provenance.url == CAMERA.url
    assert provenance.previous_thumbnail is None
    row = stages.catalog.images.get(image)
    assert row is not None
    assert row.state == ImageState.STORED


def test_second_frame_remembers_how_the_first_looked(stages: Stages) -> None:
    first, second = stages.take(draw(1)).image, stages.take(draw(2)).image
    assert first is not None
    assert second is not None
    one, two = (
        Provenance.model_validate_json(stages.store.get(keys.frame_mark(image)).data)
        for image in (first, second)
    )
    assert two.previous_thumbnail == one.thumbnail


def test_near_duplicate_is_set_aside_and_listed(stages: Stages) -> None:
    first = stages.take(draw(1)).image
    result = stages.take(draw(1, noise=1))
    assert result.outcome is Outcome.NEAR_DUPLICATE
    assert result.image is not None
    assert stages.keys(keys.DROPPED) == [
        keys.dropped(result.image),
        keys.dropped_mark(result.image),
    ]
    [drop] = stages.catalog.drops.search(DropFilter())
    assert (drop.image_id, drop.resembles) == (result.image, first)
    assert drop.expires_at == START + timedelta(seconds=20, hours=24)


def test_repeat_of_a_frame_half_stored_uses_its_id_again(stages: Stages) -> None:
    store = stages.store
    stages.store = FullOnce(store)  # type: ignore[assignment]
    with pytest.raises(StorageError):
        stages.take(draw(1))
    half_stored = stages.first(ImageState.STORING)
    result = stages.take(draw(1))
    assert (result.outcome, result.image) == (Outcome.KEPT, half_stored)
    assert len(stages.keys()) == 2


def test_broker_that_is_away_loses_no_frame(stages: Stages) -> None:
    def refuse(message: Message) -> None:
        raise BrokerError("away")

    assert not announce(refuse, "quai-20261121T091640Z-8be14bda")


class FullOnce:
    """A store that has no room for the first mark."""

    def __init__(self, store: object) -> None:
        assert isinstance(store, FolderStore)
        self._store, self._refused = store, False

    def put(self, key: str, stored: StoredObject) -> None:
        if key.endswith(".json") and not self._refused:
            self._refused = True
            raise StorageError("no room")
        self._store.put(key, stored)

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)
