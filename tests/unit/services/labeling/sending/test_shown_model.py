from __future__ import annotations

import pytest

from pipeline import keys
from pipeline.records import BoundingBox, Detection, Detections, ModelIdentity
from pipeline.storage import put_json
from services.labeling.sending.shown_model import find_object_model
from services.labeling.studio.failures import StudioRefused
from services.labeling.studio.project import BACKEND_TITLE
from services.labeling.studio.protocol import NewStudioTask, StudioPrediction
from tests.fake_studio import FakeStudio
from tests.round_trip import RoundTrip, box

YOLOX, NEWER, FACES = "yolox-nano abababab", "yolox-nano cdcdcdcd", "yunet 12121212"


def task_of(**labels: list[str]) -> NewStudioTask:
    predictions = [
        StudioPrediction(version, None, [box(label) for label in found])
        for version, found in labels.items()
    ]
    return NewStudioTask({"image": "a"}, predictions)


def test_object_model_found_most_that_is_no_face() -> None:
    tasks = [task_of(yunet=["face"] * 9, haar=["car"], yolox=["car", "bus"]), task_of(haar=["car"])]
    assert find_object_model(tasks) == "haar", "the first of equals"
    assert find_object_model([*tasks, task_of(yolox=["person"])]) == "yolox"


def test_there_is_none_where_nothing_but_faces_was_found() -> None:
    assert find_object_model([]) == ""
    assert find_object_model([task_of(yunet=["face"], yolox=[])]) == ""


def detect(trip: RoundTrip, label: str = "car", version: str = YOLOX) -> None:
    """An image whose models looked for objects first, and for faces last."""
    image = trip.detect()
    store, key = trip.workspace.store, keys.detections(image)
    models = [
        ModelIdentity(name=name, sha256=digits * 8, licence="MIT")
        for name, digits in (one.split() for one in (version, FACES))
    ]
    name = "yunet" if label == "face" else version.split()[0]
    place = BoundingBox(x1=10, y1=20, x2=40, y2=60)
    found = Detection(label=label, score=0.9, box=place, detector=name)
    record = Detections.model_validate_json(store.get(key).data).model_copy(
        update={"models": tuple(models), "detections": (found,)}
    )
    store.delete(key)
    put_json(store, key, record.model_dump_json())


def test_objects_are_shown_and_not_the_faces_found_last(trip: RoundTrip) -> None:
    detect(trip)
    trip.push()
    assert trip.project.model_version == YOLOX


def test_it_is_asked_once_for_each_version(trip: RoundTrip) -> None:
    for version in (YOLOX, YOLOX, NEWER, NEWER):
        detect(trip, version=version)
        trip.push()
        assert trip.project.model_version == version
    assert trip.studio.requests["set_model_version"] == 2


def test_where_only_faces_were_found_none_is_shown_until_objects_are(trip: RoundTrip) -> None:
    detect(trip, "face")
    trip.push()
    assert trip.project.model_version == ""
    detect(trip)
    trip.restart()
    trip.push()
    assert trip.project.model_version == YOLOX


def test_what_a_person_chose_stays(trip: RoundTrip) -> None:
    detect(trip)
    trip.push()
    trip.studio.set_model_version(trip.project.id, FACES)
    for version in (YOLOX, NEWER):
        trip.restart()
        detect(trip, version=version)
        trip.push()
        assert trip.project.model_version == FACES


def test_our_backend_gives_way_once_there_are_predictions(trip: RoundTrip) -> None:
    trip.push()
    trip.studio.ensure_backend(trip.project.id, "http://b.test", BACKEND_TITLE, ("a", "b"))
    assert trip.project.model_version == BACKEND_TITLE
    detect(trip)
    trip.push()
    assert trip.project.model_version == YOLOX


def test_refusal_is_told_and_the_tasks_are_there(
    trip: RoundTrip, capsys: pytest.CaptureFixture[str]
) -> None:
    class Stubborn(FakeStudio):
        def set_model_version(self, project_id: int, version: str) -> None:
            raise StudioRefused("400: no such version")

    trip.studio = Stubborn()
    trip.restart()
    detect(trip)
    trip.push()
    assert (len(trip.studio.tasks), trip.reason) == (1, "")
    assert "other predictions are shown" in capsys.readouterr().out
