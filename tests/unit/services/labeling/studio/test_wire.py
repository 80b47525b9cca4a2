from __future__ import annotations

from datetime import UTC, datetime

import pytest

from services.labeling.studio.protocol import NewStudioTask, SourceStorage, StudioPrediction
from services.labeling.studio.wire import (
    image_id_of,
    read_project,
    read_task,
    write_storage,
    write_task,
    write_webhook,
)

ROW = {"id": 7, "data": {"image_id": "cam-1"}, "updated_at": "2026-11-21T08:00:00Z"}


def test_task_without_extras_is_its_data_alone() -> None:
    assert write_task(NewStudioTask({"image": "x"})) == {"data": {"image": "x"}}


def test_prediction_that_found_nothing_is_sent() -> None:
    task = NewStudioTask({"image": "x"}, [StudioPrediction("yolox", None, ())])
    assert write_task(task)["predictions"] == [
        {"model_version": "yolox", "score": None, "result": []}
    ]


def test_task_is_read_with_its_time() -> None:
    task = read_task(ROW | {"annotations": [{"id": 1}]})
    assert (task.id, task.image_id) == (7, "cam-1")
    assert task.updated_at == datetime(2026, 11, 21, 8, tzinfo=UTC)
    assert list(task.annotations) == [{"id": 1}]


@pytest.mark.parametrize("data", [{}, {"image_id": 7}, {"image_id": None}, {"image_id": ["a"]}])
def test_strange_image_id_is_none(data: dict[str, object]) -> None:
    assert image_id_of(data) is None


def test_project_is_named_by_what_a_server_set_up_anew_does_not_repeat() -> None:
    row = {"id": 3, "title": "A", "label_config": "<View/>", "created_at": ROW["updated_at"]}
    project = read_project("http://x.test/label", row)
    assert project.key == "http://x.test/label#3@20261121T080000Z"
    anew = row | {"created_at": "2026-11-21T09:00:05.123456+01:00"}
    assert read_project("http://x.test/label", anew).key == "http://x.test/label#3@20261121T080005Z"


def test_images_are_passed_on_by_label_studio() -> None:
    written = write_storage(3, SourceStorage("images", "http://store", "key", "secret"))
    assert (written["presign"], written["use_blob_urls"]) == (False, True)
    assert "secret" not in repr(SourceStorage("images", "http://store", "key", "secret"))


def test_webhook_leaves_out_our_own_imports() -> None:
    written = write_webhook(3, "http://x.test/", {"X-Secret": "s"})
    assert "TASKS_CREATED" not in written["actions"]
    assert written["send_for_all_actions"] is False
