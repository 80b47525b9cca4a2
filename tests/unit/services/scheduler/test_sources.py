from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline import keys
from pipeline.cadence import FIRST_POLL_WITHIN_S
from pipeline.catalog.cameras import PollEnd
from pipeline.errors import StorageError, UserError
from pipeline.records import Camera, Outcome, Policy
from services.scheduler.sources import get_camera, remove_camera, save_camera
from tests.stages import START, Stages, draw, open_stages

CAMERA = Camera(
    id="quai",
    url="http://user:word@Quai.example:8080/1.jpg",
    name="Quai de Saône",
    every_s=20,
    policy=Policy.KEEP,
    placeholder_sha256=("ab" * 32,),
)


@pytest.fixture
def stages(tmp_path: Path) -> Iterator[Stages]:
    stages = open_stages(tmp_path)
    yield stages
    stages.catalog.close()


def save(stages: Stages, camera: Camera) -> None:
    save_camera(stages.catalog, stages.store, camera, stages.clock())


def poll(stages: Stages, *, failed: bool = False) -> None:
    """One poll, after which the camera is due in an hour."""
    now = stages.clock() + timedelta(minutes=1)
    assert stages.catalog.cameras.claim("quai", "token", now, now)
    end = PollEnd(
        outcome=Outcome.UNREACHABLE if failed else Outcome.KEPT,
        at=now,
        due_at=now + timedelta(hours=1),
        failed=failed,
        etag='"1"',
        last_modified="Sat, 21 Nov 2026 09:00:00 GMT",
    )
    assert stages.catalog.cameras.finish("quai", "token", end)


class Full:
    """A store without room."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def put(self, key: str, stored: object) -> None:
        raise StorageError("no room")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def test_saved_camera_is_an_object_and_a_row(stages: Stages) -> None:
    save(stages, CAMERA)
    assert stages.keys() == [keys.source("quai")]
    kept = stages.store.get(keys.source("quai"))
    assert Camera.model_validate_json(kept.data) == CAMERA
    assert kept.content_type == "application/json"
    assert get_camera(stages.catalog, "quai") == CAMERA
    row = stages.catalog.cameras.get("quai")
    assert row is not None
    assert row.host == "quai.example:8080", "what polls of one server share"
    assert START <= row.due_at <= START + timedelta(seconds=FIRST_POLL_WITHIN_S)


def test_camera_that_could_not_be_written_has_no_row(stages: Stages) -> None:
    stages.store = Full(stages.store)
    with pytest.raises(StorageError):
        save(stages, CAMERA)
    assert stages.catalog.cameras.all() == []


def test_changed_camera_is_due_soon_and_keeps_its_history(stages: Stages) -> None:
    save(stages, CAMERA)
    poll(stages)
    changed = CAMERA.model_copy(update={"every_s": 300.0, "paused": True})
    save(stages, changed)
    assert get_camera(stages.catalog, "quai") == changed
    assert Camera.model_validate_json(stages.store.get(keys.source("quai")).data) == changed
    [row] = stages.catalog.cameras.all()
    assert (row.paused, row.polls, row.outcome) == (True, 1, "kept")
    assert row.due_at <= START + timedelta(seconds=FIRST_POLL_WITHIN_S)
    assert row.etag == '"1"'


def test_camera_at_another_address_forgets_what_the_old_one_said(stages: Stages) -> None:
    save(stages, CAMERA)
    poll(stages)
    save(stages, CAMERA.model_copy(update={"url": "http://elsewhere.example/1.jpg"}))
    [row] = stages.catalog.cameras.all()
    assert row.host == "elsewhere.example"
    assert (row.etag, row.last_modified) == (None, None), "it would answer 304 to a first question"


def test_removed_camera_leaves_its_images(stages: Stages) -> None:
    save(stages, CAMERA)
    image = stages.keep(draw(1), CAMERA)
    assert remove_camera(stages.catalog, stages.store, "quai")
    assert stages.keys() == [keys.detections(image), keys.stored_image(image)]
    assert stages.catalog.images.get(image) is not None
    with pytest.raises(UserError, match="no camera 'quai'"):
        get_camera(stages.catalog, "quai")


def test_removing_may_be_repeated_and_says_whether_there_was_one(stages: Stages) -> None:
    save(stages, CAMERA)
    assert remove_camera(stages.catalog, stages.store, "quai")
    assert not remove_camera(stages.catalog, stages.store, "quai")


def test_removing_a_feeds_camera_is_remembered_of_the_feed(stages: Stages) -> None:
    save(stages, CAMERA.model_copy(update={"feed": "lyon"}))
    remove_camera(stages.catalog, stages.store, "quai")
    assert [(row.id, row.known) for row in stages.catalog.feeds.all()] == [("lyon", ["quai"])]


def test_removing_a_camera_of_no_feed_leaves_nothing(stages: Stages) -> None:
    save(stages, CAMERA)
    remove_camera(stages.catalog, stages.store, "quai")
    assert stages.catalog.feeds.all() == []


def test_camera_added_again_begins_anew(stages: Stages) -> None:
    save(stages, CAMERA)
    poll(stages, failed=True)
    remove_camera(stages.catalog, stages.store, "quai")
    save(stages, CAMERA)
    [row] = stages.catalog.cameras.all()
    assert (row.polls, row.failures, row.outcome) == (0, 0, None)


def test_unknown_camera_is_told(stages: Stages) -> None:
    with pytest.raises(UserError, match="traboule cameras list"):
        get_camera(stages.catalog, "nowhere")
