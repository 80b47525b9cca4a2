from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from structlog.testing import capture_logs

from pipeline import keys
from pipeline.catalog.drops import DropFilter
from pipeline.catalog.images import ImageFilter
from pipeline.catalog.labeling.tasks import Considered
from pipeline.errors import StorageError, UserError
from pipeline.messages import ImageStored
from pipeline.records import Detection, ImageState, Outcome, Tombstone
from pipeline.storage import StoredObject, put_json
from services.detection.detector import DecodedImage
from services.maintenance.erasure import delete_image, repeat_deletes
from services.maintenance.restoring import restore_drop
from services.maintenance.sweep import sweep
from tests.revisions import HERE, THERE, revise, say
from tests.stages import Bright, Stages, draw

ANYTHING = StoredObject(b"late", "application/octet-stream")


class Interrupted(Bright):
    """Something of the test's happens while it looks."""

    def __init__(self, meanwhile: Callable[[], None]) -> None:
        self._meanwhile = meanwhile

    def detect(self, images: Sequence[DecodedImage]) -> list[tuple[Detection, ...]]:
        self._meanwhile()
        return super().detect(images)


class Undeletable:
    """A store that deletes nothing, for now."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def delete(self, key: str) -> None:
        raise StorageError(f"cannot delete {key}")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def make(stages: Stages, state: ImageState) -> str:
    """The id of an image in that state."""
    if state is ImageState.DROPPED:
        stages.keep(draw(1))
        return stages.keep(draw(1, noise=1))
    stages.detecting = state is ImageState.DETECTED
    return stages.keep(draw(1))


@pytest.mark.parametrize("state", [ImageState.STORED, ImageState.DETECTED, ImageState.DROPPED])
def test_erased_image_leaves_its_tombstone_and_nothing_else(
    stages: Stages, state: ImageState
) -> None:
    image = make(stages, state)
    row = stages.row(image)
    assert row.state == state
    delete_image(stages.maintenance, image, reason="asked to")
    left = stages.keys()
    assert [key for key in left if image in key] == [keys.tombstone(image)]
    assert stages.catalog.images.get(image) is None
    assert image not in {drop.image_id for drop in stages.catalog.drops.search(DropFilter())}
    data = stages.store.get(keys.tombstone(image)).data
    assert Tombstone.model_validate_json(data) == Tombstone(
        id=image,
        source="quai",
        sha256_received=row.sha256_received,
        erased_at=stages.clock(),
        reason="asked to",
    )


def test_erased_bytes_do_not_come_back(stages: Stages) -> None:
    image = stages.keep(draw(1))
    delete_image(stages.maintenance, image)
    again = stages.take(draw(1))
    assert (again.outcome, again.image, again.resembles) == (Outcome.ERASED, None, image)
    assert stages.keys() == [keys.tombstone(image)]
    assert stages.take(draw(2)).outcome is Outcome.KEPT


def test_erasing_what_is_not_there_is_told(stages: Stages) -> None:
    for unknown in ("quai-20261121T091640Z-8be14bda", "quai", "../../etc/passwd"):
        with pytest.raises(UserError, match="no image"):
            delete_image(stages.maintenance, unknown)
    assert stages.keys() == []


def test_what_an_erasure_left_can_be_erased_again(stages: Stages) -> None:
    image = stages.keep(draw(1))
    delete_image(stages.maintenance, image)
    stages.store.put(keys.stored_image(image), StoredObject(b"late", "image/jpeg"))
    delete_image(stages.maintenance, image)
    assert stages.keys() == [keys.tombstone(image)]


def test_image_without_a_row_is_erased_by_what_its_objects_tell(stages: Stages) -> None:
    image = stages.keep(draw(1))
    stages.catalog.images.remove(image)
    delete_image(stages.maintenance, image)
    assert stages.keys() == [keys.tombstone(image)]
    assert stages.take(draw(1)).outcome is Outcome.ERASED


def test_damaged_tombstone_holds_up_no_other_sweep(stages: Stages) -> None:
    stages.keep(draw(1))
    damaged = "quai-20261121T091640Z-8be14bda"
    put_json(stages.store, keys.tombstone(damaged), "")
    stages.seconds += 25 * 3600
    sweep(stages.maintenance)
    assert stages.keys() == [keys.tombstone(damaged)], "the unblurred frame has expired"


def test_tombstone_comes_before_the_first_delete(stages: Stages) -> None:
    image = stages.keep(draw(1))
    store = stages.store
    stages.store = Undeletable(store)
    with pytest.raises(StorageError):
        delete_image(stages.maintenance, image)
    assert store.exists(keys.tombstone(image))
    stages.store = store
    sweep(stages.maintenance)
    assert stages.keys() == [keys.tombstone(image)]
    assert stages.catalog.images.search(ImageFilter()) == []


def test_erasing_cut_off_after_the_tombstone_is_taken_up(stages: Stages) -> None:
    image = stages.keep(draw(1))
    row = stages.row(image)
    tombstone = Tombstone(
        id=image, source="quai", sha256_received=row.sha256_received, erased_at=stages.clock()
    )
    put_json(stages.store, keys.tombstone(image), tombstone.model_dump_json())
    repeat_deletes(stages.maintenance)
    assert stages.keys() == [keys.tombstone(image)]
    assert stages.catalog.images.get(image) is None
    assert stages.take(draw(1)).outcome is Outcome.ERASED


@pytest.mark.parametrize("look", [1, 2])
def test_erasing_beside_a_detection_in_flight_leaves_nothing(stages: Stages, look: int) -> None:
    image, looks = stages.keep(draw(1)), 0

    def erase() -> None:
        nonlocal looks
        looks += 1
        if looks == look:
            delete_image(stages.maintenance, image)

    stages.detectors, stages.detecting = [Interrupted(erase)], True
    stages.publish(ImageStored(image=image))
    assert looks >= look
    assert stages.keys() == [keys.tombstone(image)]
    assert stages.catalog.images.search(ImageFilter()) == []


def test_what_a_dying_stage_writes_late_is_deleted_for_an_hour(stages: Stages) -> None:
    image = stages.keep(draw(1))
    delete_image(stages.maintenance, image)
    for key in keys.every_object(image):
        stages.store.put(key, ANYTHING)
    stages.seconds += stages.settings.deletes_repeated_s - 1
    repeat_deletes(stages.maintenance)
    assert stages.keys() == [keys.tombstone(image)]
    stages.seconds += 1
    repeat_deletes(stages.maintenance)
    assert stages.catalog.tombstones.to_repeat() == []
    stages.store.put(keys.frame(image), ANYTHING)
    repeat_deletes(stages.maintenance)
    assert stages.store.exists(keys.frame(image)), "the time of repeats is over"


def test_erased_near_duplicate_cannot_be_restored(stages: Stages) -> None:
    stages.keep(draw(1))
    image = stages.keep(draw(1, noise=1))
    delete_image(stages.maintenance, image)
    with pytest.raises(UserError, match="bytes are gone"):
        restore_drop(stages.maintenance, image)


def annotate(stages: Stages) -> str:
    """An image of which two people said something, one of them twice; and another image."""
    stages.detecting = True
    for seed in (1, 2):
        image = stages.keep(draw(seed))
        for one in (revise("5"), revise("5", at_s=1), revise("6"), revise("5", project=THERE)):
            say(stages.catalog, stages.store, one.model_copy(update={"image": image}))
        day = keys.day_of(image)
        about = Considered(image, "quai", day)
        assert stages.catalog.labeling.adopt(HERE, about, 11 + seed, stages.clock())
        stages.catalog.labeling.consider(THERE, about, stages.clock())
    return image


def test_erased_image_leaves_nothing_of_what_was_said_of_it(stages: Stages) -> None:
    image = annotate(stages)
    assert len(stages.keys(keys.annotations_folder(image))) == 4
    with capture_logs() as told:
        delete_image(stages.maintenance, image)
    [erased] = told
    assert (erased["annotations"], erased["labeling_tasks_to_delete"]) == (4, 1)
    left = stages.keys()
    assert [key for key in left if image in key] == [keys.tombstone(image)]
    assert stages.catalog.annotations.of_image(image) == []
    [row] = stages.catalog.labeling.of_image(image)
    assert (row.project, row.state, row.task_id) == (HERE, "erased", 13), "labeling deletes it"
    [other] = set(stages.catalog.annotations.images())
    assert len(stages.keys(keys.annotations_folder(other))) == 4
    assert len(stages.catalog.annotations.of_image(other)) == 3
    assert len(stages.catalog.labeling.of_image(other)) == 2


def test_what_is_said_late_of_an_erased_image_is_deleted(stages: Stages) -> None:
    image = annotate(stages)
    delete_image(stages.maintenance, image)
    say(stages.catalog, stages.store, revise(at_s=9).model_copy(update={"image": image}))
    about = Considered(image, "quai", keys.day_of(image))
    stages.catalog.labeling.adopt(HERE, about, 99, stages.clock())
    repeat_deletes(stages.maintenance)
    assert stages.keys(keys.annotations_folder(image)) == []
    assert stages.catalog.annotations.of_image(image) == []
    assert stages.catalog.labeling.erased(HERE, 9) == [image]


def test_image_of_which_only_annotations_are_left_can_be_erased(stages: Stages) -> None:
    image = annotate(stages)
    stages.catalog.images.remove(image)
    for key in keys.every_object(image):
        stages.store.delete(key)
    delete_image(stages.maintenance, image)
    left = stages.keys()
    assert [key for key in left if image in key] == [keys.tombstone(image)]
    assert stages.catalog.annotations.of_image(image) == []
