from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from pipeline import keys
from pipeline.annotations import Annotation
from pipeline.catalog import Catalog, open_catalog
from pipeline.catalog.labeling.tasks import TaskState
from pipeline.records import Camera
from pipeline.storage import StoredObject
from services.maintenance.erasure import delete_image
from services.maintenance.rebuild import Rebuilt, rebuild_catalog
from services.scheduler.sources import save_camera
from tests.revisions import HERE, THERE, revise, say
from tests.stages import CAMERA, Stages, draw


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Catalog]:
    catalog = open_catalog(f"sqlite:///{tmp_path / 'rebuilt.sqlite3'}")
    yield catalog
    catalog.close()


def ignore(key: str) -> None:
    pass


def test_empty_store_makes_an_empty_catalog(stages: Stages, empty: Catalog) -> None:
    assert rebuild_catalog(empty, stages.store, stages.clock(), ignore) == Rebuilt()


def test_everything_is_counted_and_every_mark_told(stages: Stages, empty: Catalog) -> None:
    save_camera(stages.catalog, stages.store, CAMERA, stages.clock())
    stored = stages.keep(draw(1))
    stages.detecting = True
    detected = stages.keep(draw(2))
    dropped = stages.keep(draw(2, noise=1))
    told: list[str] = []
    rebuilt = rebuild_catalog(empty, stages.store, stages.clock(), told.append)
    assert rebuilt == Rebuilt(cameras=1, detected=1, stored=1, dropped=1)
    assert told == [
        keys.source(CAMERA.id),
        keys.detections(detected),
        keys.frame_mark(stored),
        keys.dropped_mark(dropped),
    ]


def test_rebuilt_camera_is_due_soon_and_stored_image_is_announced(
    stages: Stages, empty: Catalog
) -> None:
    save_camera(stages.catalog, stages.store, CAMERA, stages.clock())
    image = stages.keep(draw(1))
    rebuild_catalog(empty, stages.store, stages.clock(), ignore)
    stages.seconds += 120
    assert empty.work.take_due(stages.clock(), 10) == [image]
    [row] = empty.cameras.all()
    assert row.due_at < stages.clock()
    assert Camera.model_validate(row.record) == CAMERA


def test_damaged_mark_is_an_error_and_named_last(stages: Stages, empty: Catalog) -> None:
    image = stages.keep(draw(1))
    stages.store.put(keys.frame_mark(image), StoredObject(b"{", "application/json"))
    told: list[str] = []
    with pytest.raises(ValidationError):
        rebuild_catalog(empty, stages.store, stages.clock(), told.append)
    assert told[-1] == keys.frame_mark(image)


def test_bytes_without_a_mark_are_no_image(stages: Stages, empty: Catalog) -> None:
    image = stages.keep(draw(1))
    stages.store.delete(keys.frame_mark(image))
    assert rebuild_catalog(empty, stages.store, stages.clock(), ignore) == Rebuilt()


def say_of(stages: Stages, image: str, *said: Annotation) -> None:
    for one in said:
        say(stages.catalog, stages.store, one.model_copy(update={"image": image}))


def test_annotation_has_the_row_of_its_newest_revision_again(
    stages: Stages, empty: Catalog
) -> None:
    stages.detecting = True
    image = stages.keep(draw(1))
    say_of(stages, image, revise("5"), revise("5", at_s=2, status="skipped"), revise("6", at_s=1))
    say_of(stages, image, revise("a.txt", project="import", task=None, at_s=3))
    rebuilt = rebuild_catalog(empty, stages.store, stages.clock(), ignore)
    assert rebuilt == Rebuilt(detected=1, annotations=3)
    told = [
        [(row.project, row.annotation, row.task_id, row.revision, row.status) for row in rows]
        for rows in (empty.annotations.of_image(image), stages.catalog.annotations.of_image(image))
    ]
    assert len(told[0]) == 3
    assert told[0] == told[1]


def test_annotated_image_has_its_labeling_task_again(stages: Stages, empty: Catalog) -> None:
    stages.detecting = True
    one, other = stages.keep(draw(1)), stages.keep(draw(2))
    say_of(stages, one, revise("5", task=11), revise("5", task=11, at_s=1))
    say_of(stages, one, revise("6", task=7, project=THERE, at_s=2))
    say_of(stages, other, revise("a.txt", project="import", task=None))
    rebuild_catalog(empty, stages.store, stages.clock(), ignore)
    found = [(row.project, row.task_id, row.state, row.day) for row in empty.labeling.of_image(one)]
    day = keys.day_of(one)
    assert found == [(HERE, 11, "sent", day), (THERE, 7, "sent", day)]
    assert empty.labeling.of_image(other) == []


def test_what_was_said_of_an_erased_image_has_no_row(stages: Stages, empty: Catalog) -> None:
    stages.detecting = True
    image = stages.keep(draw(1))
    delete_image(stages.maintenance, image)
    say_of(stages, image, revise("5"))  # written late
    rebuilt = rebuild_catalog(empty, stages.store, stages.clock(), ignore)
    assert rebuilt == Rebuilt(tombstones=1, ignored=1)
    assert empty.annotations.of_image(image) == []
    assert empty.labeling.of_image(image) == []


def test_task_in_which_all_was_deleted_is_not_taken_for_sent(
    stages: Stages, empty: Catalog
) -> None:
    stages.detecting = True
    gone, there, moved = (stages.keep(draw(number)) for number in (1, 2, 3))
    say_of(stages, gone, revise("5", task=11), revise("5", task=11, at_s=1, status="deleted"))
    say_of(stages, there, revise("6", task=12), revise("7", task=12, at_s=1, status="deleted"))
    say_of(stages, moved, revise("8", task=13, status="deleted"), revise("9", task=14))
    rebuild_catalog(empty, stages.store, stages.clock(), ignore)
    assert list(empty.labeling.sent_ids(HERE)) == [(12, there), (14, moved)]
    row = empty.labeling.get(HERE, gone)
    assert row is not None
    assert (row.state, row.task_id) == (TaskState.GONE, 11), "it is not sent again"
    assert [row.status for row in empty.annotations.of_image(gone)] == ["deleted"]


def test_number_that_was_given_again_has_the_rows_of_both_images(
    stages: Stages, empty: Catalog
) -> None:
    stages.detecting = True
    images = [stages.keep(draw(1)), stages.keep(draw(2))]
    for at_s, image in enumerate((*images, *images)):
        say_of(stages, image, revise("5", at_s=at_s))
    assert rebuild_catalog(empty, stages.store, stages.clock(), ignore).annotations == 2
    assert list(empty.annotations.images()) == sorted(images)
