from __future__ import annotations

import pytest

from pipeline import keys
from pipeline.catalog.labeling.tasks import TaskState
from services.labeling.sending.considering import consider_image
from services.labeling.settings import SendPolicy
from services.labeling.studio.failures import StudioUnavailable
from tests.round_trip import RoundTrip


def test_image_is_considered_once_and_says_why(trip: RoundTrip) -> None:
    trip.push()  # the project is known from here on
    image = trip.detect()
    trip.consider(image)
    row = trip.row(image)
    assert (row.state, row.reason, row.day) == ("waiting", "all images are sent", "2026-11-21")
    trip.set(policy=SendPolicy.RANDOM, fraction=0.0)
    assert not consider_image(trip.context, image)
    assert trip.row(image).state == TaskState.WAITING


def test_message_that_was_lost_or_came_too_early_is_made_up_for(trip: RoundTrip) -> None:
    early = trip.detect()
    trip.consider(early)  # no project is known yet
    trip.detect()
    assert trip.studio.tasks == {}
    trip.push()
    assert len(trip.studio.tasks) == 2
    assert trip.row(early).state == TaskState.SENT


def test_every_nth_counts_by_source_and_day(trip: RoundTrip) -> None:
    trip.set(policy=SendPolicy.NTH, every_nth=2)
    images = [trip.detect(camera=camera) for camera in ("quai", "pont") for _ in range(3)]
    trip.push()
    sent = [trip.row(image).state == TaskState.SENT for image in images]
    assert sent == [True, False, True] * 2


def test_image_left_out_has_its_reason(trip: RoundTrip) -> None:
    trip.set(policy=SendPolicy.UNCERTAIN)
    image = trip.detect({"car": 1})  # by a score of 0.9
    trip.push()
    row = trip.row(image)
    assert (row.state, trip.tasks_of(image)) == (TaskState.LEFT_OUT, [])
    assert "no detection is that uncertain" in row.reason


def test_erased_image_is_not_considered(trip: RoundTrip) -> None:
    trip.push()
    image = trip.detect()
    trip.erase(image)
    trip.consider(image)
    assert trip.workspace.catalog.labeling.get(trip.project.key, image) is None


@pytest.mark.parametrize(
    ("damage", "reason"), [(None, "gone from the store"), (b"{]", "cannot be read")]
)
def test_image_whose_detections_are_no_good_is_left_out_once(
    trip: RoundTrip, damage: bytes | None, reason: str
) -> None:
    image = trip.detect()
    store, key = trip.workspace.store, keys.detections(image)
    stored = store.get(key)
    store.delete(key)
    if damage is not None:
        store.put(key, type(stored)(damage, stored.content_type))
    for _ in range(2):
        trip.push()
    assert trip.row(image).state == TaskState.LEFT_OUT
    assert reason in trip.row(image).reason


def test_hand_overrules_policy_and_quota_and_goes_first(trip: RoundTrip) -> None:
    trip.set(policy=SendPolicy.RANDOM, fraction=0.0, per_camera_and_day=0)
    images = [trip.detect() for _ in range(3)]
    trip.push()
    assert trip.studio.tasks == {}
    trip.ask(images[2], images[1])
    trip.push()
    assert [len(trip.tasks_of(image)) for image in images] == [0, 1, 1]
    assert trip.row(images[2]).reason == "asked for by hand"
    trip.ask(*images)
    trip.push()
    assert [len(trip.tasks_of(image)) for image in images] == [1, 1, 1]


def test_hand_passes_over_what_is_not_there(trip: RoundTrip) -> None:
    trip.push()
    erased = trip.detect()
    trip.erase(erased)
    trip.ask("../../etc/passwd", "nowhere-20261121T091640Z-8be14bda", erased)
    trip.push()
    assert trip.studio.tasks == {}


def test_hand_waits_for_a_project_and_gives_up_without_a_studio(trip: RoundTrip) -> None:
    image = trip.detect()
    with pytest.raises(StudioUnavailable):
        trip.ask(image)  # tried again, for as long as it takes
    trip.set(url=None)
    trip.ask(image)


def test_without_a_studio_all_is_a_no_op(trip: RoundTrip) -> None:
    trip.set(url=None)
    image = trip.detect()
    trip.consider(image)
    trip.push()
    trip.follow()
    assert trip.studio.requests == {}
    assert trip.workspace.catalog.labeling_projects.all() == []
