from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from pipeline import admission
from pipeline.admission import Admission, Received
from pipeline.hashing import sha256_of
from pipeline.records import Outcome
from tests.stages import CAMERA, START, Stages, draw, open_stages


@pytest.fixture
def stages(tmp_path: Path) -> Stages:
    return open_stages(tmp_path)


def judge(stages: Stages, body: bytes, **received: object) -> admission.Verdict:
    told: dict[str, object] = {"camera": CAMERA, "at": START, "url": CAMERA.url, "body": body}
    return Admission(stages.catalog).judge(Received(**(told | received)))[0]  # type: ignore[arg-type]


def png(width: int, height: int) -> bytes:
    file = BytesIO()
    Image.new("L", (width, height)).save(file, "PNG")
    return file.getvalue()


def test_steps_come_in_order_of_cost() -> None:
    assert [step.__name__ for step in admission.STEPS] == [
        "not_modified",
        "same_bytes",
        "erased",
        "placeholder",
        "unreadable",
        "truncated",
        "near_duplicate",
    ]


def test_new_frame_is_worth_keeping(stages: Stages) -> None:
    assert judge(stages, draw(1)).outcome is Outcome.KEPT


def test_judging_stores_nothing(stages: Stages) -> None:
    judge(stages, draw(1))
    assert stages.keys() == []
    assert stages.first() is None


def test_304_is_not_looked_at(stages: Stages) -> None:
    assert judge(stages, b"", not_modified=True).outcome is Outcome.NOT_MODIFIED


def test_same_bytes_name_the_image_they_are(stages: Stages) -> None:
    image = stages.take(draw(1)).image
    verdict = judge(stages, draw(1))
    assert (verdict.outcome, verdict.resembles) == (Outcome.SAME_BYTES, image)


def test_same_bytes_of_another_camera_are_another_image(stages: Stages) -> None:
    stages.take(draw(1))
    other = CAMERA.model_copy(update={"id": "pont"})
    assert judge(stages, draw(1), camera=other).outcome is Outcome.KEPT


def test_placeholder_is_known_by_its_bytes(stages: Stages) -> None:
    camera = CAMERA.model_copy(update={"placeholder_sha256": (sha256_of(draw(1)),)})
    assert judge(stages, draw(1), camera=camera).outcome is Outcome.PLACEHOLDER


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        (b"", Outcome.NOT_AN_IMAGE),
        (b"<html>maintenance</html>", Outcome.NOT_AN_IMAGE),
        (b"\xff\xd8\xff\xe0" + b"\x00" * 100, Outcome.NOT_AN_IMAGE),
        (png(8, 8), Outcome.TOO_SMALL),
        (png(30_000, 2_000), Outcome.TOO_MANY_PIXELS),
    ],
)
def test_what_cannot_be_read_within_bounds_has_its_outcome(
    stages: Stages, body: bytes, outcome: Outcome
) -> None:
    verdict = judge(stages, body)
    assert verdict.outcome is outcome
    assert verdict.reason


def test_truncated_frame_is_dropped_unless_the_camera_always_sends_such(stages: Stages) -> None:
    body = draw(1)[:-600]
    assert judge(stages, body).outcome is Outcome.TRUNCATED
    camera = CAMERA.model_copy(update={"keep_truncated": True})
    assert judge(stages, body, camera=camera).outcome is Outcome.KEPT


def test_near_duplicate_names_the_image_it_resembles(stages: Stages) -> None:
    image = stages.take(draw(1)).image
    verdict = judge(stages, draw(1, noise=1))
    assert (verdict.outcome, verdict.resembles) == (Outcome.NEAR_DUPLICATE, image)
    assert verdict.reason


def test_camera_that_wants_every_frame_gets_near_duplicates(stages: Stages) -> None:
    stages.take(draw(1))
    camera = CAMERA.model_copy(update={"near_duplicate_distance": -1})
    assert judge(stages, draw(1, noise=1), camera=camera).outcome is Outcome.KEPT
