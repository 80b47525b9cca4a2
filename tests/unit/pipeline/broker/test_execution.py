from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from pipeline.broker.execution import recorded, subject_of
from pipeline.errors import TransientError
from pipeline.messages import Discover, ImageStored, PollDue, SaveCamera, Sweep, Tick
from pipeline.records import Camera


def request(**delivery_info: Any) -> SimpleNamespace:
    return SimpleNamespace(delivery_info=delivery_info, retries=1)


def test_task_about_an_image_is_recorded_when_it_begins_and_ends() -> None:
    with capture_logs() as lines, recorded(request(redelivered=True), {"image": "a"}):
        assert len(lines) == 1
    begins, ends = lines
    assert begins["event"] == "task begins"
    assert begins["log_level"] == "info"
    assert (begins["redelivered"], begins["retries"]) == (True, 1)
    assert (ends["event"], ends["outcome"]) == ("task ends", "done")
    assert ends["took_s"] >= 0


def test_failed_task_is_recorded_with_its_error() -> None:
    with (
        capture_logs() as lines,
        pytest.raises(TransientError),
        recorded(request(), {"camera": "quai"}),
    ):
        raise TransientError("the store is away")
    assert lines[0]["redelivered"] is False
    assert lines[1]["outcome"] == "TransientError"


@pytest.mark.parametrize("message", [Tick(), Sweep(), Discover()])
def test_what_comes_every_second_is_not_recorded(message: Tick | Sweep | Discover) -> None:
    with capture_logs() as lines, recorded(request(), message.model_dump(mode="json")):
        pass
    assert lines == []


@pytest.mark.parametrize(
    ("message", "subject"),
    [
        (ImageStored(image="a"), {"image": "a"}),
        (PollDue(camera="quai", token="t"), {"camera": "quai"}),
        (SaveCamera(camera=Camera(id="quai", url="http://h/1.jpg")), {"camera": "quai"}),
        (Tick(), {}),
    ],
)
def test_subject_is_the_image_or_camera(message: Any, subject: dict[str, str]) -> None:
    assert subject_of(message.model_dump(mode="json")) == subject
