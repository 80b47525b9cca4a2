"""Detections become one prediction per model, in Label Studio's terms."""

from __future__ import annotations

from pipeline.records import BoundingBox, Detection, Detections, ModelIdentity
from services.labeling.receiving.interpretation import ImageFacts, interpret
from services.labeling.sending.predictions import predict
from services.labeling.studio.protocol import StudioTask
from tests.factories import MORNING, Wanted, make_provenance

YOLOX = ModelIdentity(name="yolox-nano", sha256="1f2e3d4c" + "0" * 56, licence="Apache-2.0")
YUNET = ModelIdentity(name="yunet", sha256="ab" * 32, licence="MIT")
MOTION = ModelIdentity(name="motion", sha256=None, licence="Apache-2.0")
PLACE = BoundingBox(x1=64, y1=96, x2=256, y2=288)


def found(label: str, detector: str = "yolox-nano", score: float = 0.83) -> Detection:
    return Detection(label=label, score=score, box=PLACE, detector=detector)


def detect(*detections: Detection, models: tuple[ModelIdentity, ...]) -> Detections:
    return Detections(
        provenance=make_provenance(Wanted(), b"jpeg"),
        detections=detections,
        models=models,
        detected_at=MORNING,
        sha256_stored="0" * 64,
        bytes_stored=4,
        width=640,
        height=480,
        blurred=0,
        rounds=0,
    )


def test_a_box_is_written_as_label_studio_does() -> None:
    [prediction] = predict(detect(found("car"), models=(YOLOX,)))
    assert prediction.model_version == "yolox-nano 1f2e3d4c"
    assert prediction.score == 0.83
    [region] = prediction.result
    assert {name: value for name, value in region.items() if name not in ("id", "value")} == {
        "from_name": "label",
        "to_name": "image",
        "type": "rectanglelabels",
        "original_width": 640,
        "original_height": 480,
        "image_rotation": 0,
        "score": 0.83,
    }
    place = {"x": 10, "y": 20, "width": 30, "height": 40, "rotation": 0}
    assert region["value"] == {**place, "rectanglelabels": ["car"]}


def test_each_model_that_looked_has_its_prediction() -> None:
    result = detect(found("face", "yunet"), found("car"), models=(YUNET, YOLOX))
    predictions = predict(result)
    assert [one.model_version for one in predictions] == ["yunet abababab", "yolox-nano 1f2e3d4c"]
    assert [len(one.result) for one in predictions] == [1, 1]


def test_a_model_that_found_nothing_says_so() -> None:
    [prediction] = predict(detect(models=(YOLOX,)))
    assert (prediction.result, prediction.score) == ([], None)


def test_no_model_no_prediction() -> None:
    assert predict(detect(models=())) == []


def test_a_model_without_a_file_goes_by_its_name() -> None:
    [prediction] = predict(detect(models=(MOTION,)))
    assert prediction.model_version == "motion"


def test_a_detector_that_no_model_names_goes_by_its_own() -> None:
    [prediction] = predict(detect(found("car", "older"), models=()))
    assert (prediction.model_version, len(prediction.result)) == ("older", 1)


def test_labels_that_the_interface_lacks_are_left_out() -> None:
    result = detect(found("train"), found("car"), models=(YOLOX,))
    [prediction] = predict(result)
    labels = [region["value"]["rectanglelabels"] for region in prediction.result]
    assert labels == [["car"]]


def test_a_model_that_found_only_such_labels_says_nothing() -> None:
    """It did find something: an empty result would say that it did not."""
    assert predict(detect(found("moving-object", "motion"), models=(MOTION,))) == []


def test_score_is_the_least_certain_boxs() -> None:
    [prediction] = predict(detect(found("car"), found("bus", score=0.31), models=(YOLOX,)))
    assert prediction.score == 0.31


def test_ids_are_stable_and_tell_equal_boxes_apart() -> None:
    result = detect(found("car"), found("car"), found("face", "yunet"), models=(YOLOX, YUNET))
    ids = [region["id"] for one in predict(result) for region in one.result]
    assert len(set(ids)) == 3
    assert ids == [region["id"] for one in predict(result) for region in one.result]


def test_a_prediction_taken_over_is_the_detection_again() -> None:
    detections = detect(found("car"), models=(YOLOX,))
    [prediction] = predict(detections)
    image = ImageFacts(detections.provenance.id, 640, 480)
    task = StudioTask(id=1, image_id=image.id, data={}, updated_at=MORNING)
    taken = interpret(image, "http://127.0.0.1#1", task, {"id": 1, "result": prediction.result})
    [shape] = taken.shapes
    assert (shape.label, shape.bounds) == ("car", PLACE)
