from __future__ import annotations

import pytest

from pipeline import keys
from pipeline.catalog.drops import DropFilter
from pipeline.errors import UserError
from pipeline.messages import ImageStored, Message
from pipeline.records import ImageState, Outcome, Provenance
from services.maintenance.completion import complete_frames
from services.maintenance.restoring import restore_drop
from tests.stages import Stages, draw


@pytest.fixture
def dropped(stages: Stages) -> str:
    stages.keep(draw(1))
    return stages.keep(draw(1, noise=1))


def test_restored_frame_lies_where_detection_looks(stages: Stages, dropped: str) -> None:
    restore_drop(stages.maintenance, dropped)
    assert stages.keys(keys.DROPPED) == []
    assert stages.store.get(keys.frame(dropped)).data == draw(1, noise=1)
    assert stages.store.get(keys.frame(dropped)).content_type == "image/jpeg"
    mark = Provenance.model_validate_json(stages.store.get(keys.frame_mark(dropped)).data)
    assert mark.id == dropped
    row = stages.row(dropped)
    assert (row.state, row.reason) == (ImageState.STORED, "")


def test_restored_frame_is_announced_after_all_else(stages: Stages, dropped: str) -> None:
    seen: list[tuple[Message, list[str]]] = []
    stages.publish = lambda message: seen.append(  # type: ignore[method-assign]
        (message, stages.keys(keys.DROPPED))
    )
    restore_drop(stages.maintenance, dropped)
    assert seen == [(ImageStored(image=dropped), [])]


def test_restored_frame_is_detected_and_no_longer_restorable(stages: Stages, dropped: str) -> None:
    stages.detecting = True
    restore_drop(stages.maintenance, dropped)
    assert stages.row(dropped).state == ImageState.DETECTED
    assert stages.store.exists(keys.stored_image(dropped))
    [drop] = stages.catalog.drops.search(DropFilter())
    assert (drop.restored_at, drop.expires_at) == (stages.clock(), None)
    assert stages.catalog.drops.search(DropFilter(restorable=True)) == []
    assert stages.take(draw(1, noise=1)).outcome is Outcome.SAME_BYTES


@pytest.mark.parametrize("unknown", ["nothing", "quai-20261121T091640Z-8be14bda", "../x"])
def test_unknown_image_is_told(stages: Stages, unknown: str) -> None:
    with pytest.raises(UserError, match=r"traboule drops list"):
        restore_drop(stages.maintenance, unknown)


@pytest.mark.parametrize("gone", [keys.dropped, keys.dropped_mark])
def test_near_duplicate_whose_bytes_are_gone_is_told_and_left_as_it_is(
    stages: Stages, dropped: str, gone: object
) -> None:
    assert callable(gone)
    stages.store.delete(gone(dropped))
    before = stages.keys()
    with pytest.raises(UserError, match="its bytes are gone"):
        restore_drop(stages.maintenance, dropped)
    assert stages.keys() == before
    assert stages.row(dropped).state == ImageState.DROPPED


def test_restore_of_a_kept_image_is_told(stages: Stages) -> None:
    image = stages.keep(draw(1))
    with pytest.raises(UserError, match="cannot be restored"):
        restore_drop(stages.maintenance, image)
    assert stages.row(image).state == ImageState.STORED


def test_restoring_cut_off_after_the_mark_is_taken_up(stages: Stages, dropped: str) -> None:
    for source, target in ((keys.dropped, keys.frame), (keys.dropped_mark, keys.frame_mark)):
        stages.store.put(target(dropped), stages.store.get(source(dropped)))
    stages.detecting = True
    complete_frames(stages.maintenance)
    assert stages.row(dropped).state == ImageState.DETECTED


def test_restoring_cut_off_before_the_mark_is_not(stages: Stages, dropped: str) -> None:
    stages.store.put(keys.frame(dropped), stages.store.get(keys.dropped(dropped)))
    stages.detecting = True
    complete_frames(stages.maintenance)
    assert stages.row(dropped).state == ImageState.DROPPED
    restore_drop(stages.maintenance, dropped)
    assert stages.row(dropped).state == ImageState.DETECTED


def test_near_duplicate_past_its_lifetime_is_not_restored_to_be_lost_again(stages: Stages) -> None:
    stages.keep(draw(1))
    image = stages.keep(draw(1, noise=1))
    stages.seconds += 25 * 3600
    with pytest.raises(UserError, match="cannot be restored"):
        restore_drop(stages.maintenance, image)
    assert stages.row(image).state == ImageState.DROPPED
    assert not stages.store.exists(keys.frame(image))
