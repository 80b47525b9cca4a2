from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from pipeline.records import (
    FACE,
    FAILURES,
    VEHICLES,
    BoundingBox,
    Camera,
    Conditions,
    Detection,
    Detections,
    ModelIdentity,
    Outcome,
    Policy,
    Provenance,
    Thumbnail,
)

NOW = datetime(2026, 11, 21, 9, 16, 40, tzinfo=UTC)
PROVENANCE = Provenance(
    id="quai-20261121T091640Z-8be14bda",
    source="quai",
    captured_at=NOW,
    url="http://quai.example/1.jpg",
    licence="Licence Ouverte 2.0",
    attribution="Métropole de Lyon",
    policy=Policy.ANONYMISE,
    detectors=("yunet",),
    sha256_received="8be14bda",
    bytes_received=3,
    content_type="image/jpeg",
    width=640,
    height=480,
    phash="00ff00ff00ff00ff",
    conditions=Conditions(brightness=100, contrast=40),
    thumbnail=Thumbnail(width=16, height=16, pixels=bytes(range(256))),
)


def make_detection(label: str) -> Detection:
    box = BoundingBox(x1=0.25, y1=1, x2=2, y2=3)
    return Detection(label=label, score=0.5, box=box, detector="yolox-nano")


def make_detections(*labels: str) -> Detections:
    return Detections(
        provenance=PROVENANCE,
        detections=tuple(make_detection(label) for label in labels),
        models=(ModelIdentity(name="moving-object", sha256=None, licence="Apache-2.0"),),
        detected_at=NOW,
        sha256_stored="aa",
        bytes_stored=2,
        width=640,
        height=480,
        blurred=0,
        rounds=0,
    )


def test_record_read_back_is_the_same() -> None:
    result = make_detections("car", "face")
    assert Detections.model_validate_json(result.model_dump_json(indent=1)) == result


def test_time_is_written_as_utc_and_pixels_as_base64() -> None:
    text = PROVENANCE.model_dump_json()
    assert '"captured_at":"2026-11-21T09:16:40Z"' in text
    assert '"pixels":"AAECAwQF' in text


def test_record_does_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        PROVENANCE.width = 1  # type: ignore[misc]


def test_record_of_a_newer_version_is_read() -> None:
    newer = {"brightness": 1, "contrast": 1, "colour": 1}
    assert Conditions.model_validate(newer) == Conditions(brightness=1, contrast=1)


@pytest.mark.parametrize("name", ["a", "quai-2", "cwl7033", "0-0", "a" * 64])
def test_source_id_is_good_for_keys(name: str) -> None:
    assert Camera(id=name, url="http://h/").id == name


@pytest.mark.parametrize(
    "name", ["", "-a", "a-", "a--b", "A", "é", "a/b", "..", "a.b", "a_b", "a" * 65, "a\n"]
)
def test_source_id_that_would_break_a_key_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        Camera(id=name, url="http://h/")


@pytest.mark.parametrize(
    "wrong",
    [
        {"every_s": 0},
        {"near_duplicate_distance": -2},
        {"near_duplicate_distance": 65},
        {"policy": "blur"},
    ],
)
def test_camera_that_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Camera.model_validate({"id": "a", "url": "http://h/"} | wrong)


def test_camera_is_anonymised_unless_it_says_otherwise() -> None:
    assert Camera(id="a", url="http://h/").policy is Policy.ANONYMISE


@pytest.mark.parametrize("score", [-0.01, 1.01, float("nan")])
def test_score_is_between_none_and_all(score: float) -> None:
    with pytest.raises(ValidationError):
        Detection.model_validate(make_detection("car").model_dump() | {"score": score})


def test_labels_are_counted() -> None:
    result = make_detections("car", "bus", "car", "person", FACE)
    assert result.count(FACE) == 1
    assert result.count(*VEHICLES) == 3
    assert result.count() == 0


def test_only_what_backs_a_camera_off_is_a_failure() -> None:
    assert Outcome.NOT_STORED in FAILURES
    assert FAILURES.isdisjoint({Outcome.KEPT, Outcome.SAME_BYTES, Outcome.NEAR_DUPLICATE})
    assert FAILURES.isdisjoint({Outcome.DISK_LOW, Outcome.PLACEHOLDER, Outcome.TRUNCATED})
