from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.records import Camera
from services.scheduler.feeds.listing import MAX_ROWS, read_cameras, read_document


def camera(row: Any) -> Camera:
    return Camera.model_validate({"id": "a", "url": "http://h/a.jpg", **row})


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff\xfe", b"[" * 1_000_000])
def test_what_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError):
        read_document(body)


@pytest.mark.parametrize(
    "row", ['{"latitude": 1e999}', '{"longitude": NaN}', r'{"name": "\ud800"}']
)
def test_camera_that_could_not_be_written_down_is_left_out(row: str) -> None:
    rows = json.loads(f'[{row}, {{"id": "b"}}]')
    assert [one.id for one in read_cameras("lyon", rows, camera)] == ["b"]


def test_list_without_an_end_is_cut() -> None:
    rows = [{"id": f"a{number}"} for number in range(MAX_ROWS + 10)]
    assert len(read_cameras("lyon", rows, camera)) == MAX_ROWS
