from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from pipeline import keys
from pipeline.catalog.drops import DropFilter
from pipeline.catalog.images import Found
from pipeline.errors import UserError
from pipeline.messages import ImageStored
from pipeline.records import ImageState, Outcome
from services.detection import processing
from services.detection.processing import detect_image
from services.maintenance.expiry import expire_dropped, expire_frames
from services.maintenance.restoring import restore_drop
from services.maintenance.settings import MaintenanceSettings
from services.maintenance.sweep import sweep
from tests.stages import CAMERA, START, Stages, draw

LIFETIME_S = timedelta(hours=24).total_seconds()
OTHER = CAMERA.model_copy(update={"id": "quai-2"})


def let_pass(stages: Stages, seconds: float) -> None:
    stages.seconds += seconds


def restorable(stages: Stages) -> list[str | None]:
    drops = stages.catalog.drops.search(DropFilter(restorable=True))
    return [drop.image_id for drop in reversed(drops)]


def test_frame_past_its_lifetime_is_gone_and_says_why(stages: Stages) -> None:
    image = stages.keep(draw(1))
    let_pass(stages, LIFETIME_S - 1)
    expire_frames(stages.maintenance)
    assert stages.row(image).state == ImageState.STORED
    let_pass(stages, 1)
    expire_frames(stages.maintenance)
    assert stages.keys() == []
    row = stages.row(image)
    assert (row.state, row.reason) == (ImageState.EXPIRED, "not detected within 24 h")
    assert stages.catalog.images.count_by_state() == {"quai": {"expired": 1}}
    assert row.announce_at is None


@pytest.mark.parametrize("state", [ImageState.AWAITING_MODEL, ImageState.QUARANTINED])
def test_frame_that_waits_for_a_model_or_a_person_expires_too(
    stages: Stages, state: ImageState
) -> None:
    image, now = stages.keep(draw(1)), stages.clock()
    work = stages.catalog.work
    assert work.claim(image, "token", now, now)
    if state is ImageState.QUARANTINED:
        work.quarantine(image, "token", "a face stays", now)
    else:
        work.await_model(image, "token", "no model", now)
    assert stages.row(image).state == state
    let_pass(stages, LIFETIME_S)
    expire_frames(stages.maintenance)
    assert stages.keys() == []
    assert stages.row(image).state == ImageState.EXPIRED


def test_claim_on_an_expired_frame_is_over(stages: Stages) -> None:
    image = stages.keep(draw(1))
    let_pass(stages, LIFETIME_S)
    now = stages.clock()
    assert stages.catalog.work.claim(image, "token", now, now + timedelta(seconds=45))
    expire_frames(stages.maintenance)
    stages.catalog.work.await_model(image, "token", "no model", now)
    assert stages.row(image).state == ImageState.EXPIRED


def test_frame_whose_row_is_gone_expires(stages: Stages) -> None:
    stages.catalog.images.remove(stages.keep(draw(1)))
    expire_frames(stages.maintenance)
    assert len(stages.keys()) == 2
    let_pass(stages, LIFETIME_S)
    expire_frames(stages.maintenance)
    assert stages.keys() == []


def test_expired_image_is_neither_detected_nor_looked_at(stages: Stages) -> None:
    image = stages.keep(draw(1))
    let_pass(stages, LIFETIME_S)
    expire_frames(stages.maintenance)
    stages.detecting = True
    stages.publish(ImageStored(image=image))
    assert stages.row(image).state == ImageState.EXPIRED
    assert stages.catalog.images.recent_looks("quai") == []


def test_camera_whose_frame_expired_is_captured_on(stages: Stages) -> None:
    stages.keep(draw(1))
    let_pass(stages, LIFETIME_S)
    expire_frames(stages.maintenance)
    assert stages.take(draw(2)).outcome is Outcome.KEPT


def test_frame_near_the_end_of_its_lifetime_is_warned_of(stages: Stages) -> None:
    stages.keep(draw(1))
    let_pass(stages, LIFETIME_S / 2 - 1)
    with capture_logs() as early:
        expire_frames(stages.maintenance)
    let_pass(stages, 1)
    with capture_logs() as late:
        expire_frames(stages.maintenance)
    assert early == []
    assert [(line["log_level"], line["frames"]) for line in late] == [("warning", 1)]


def test_frame_left_of_a_detected_image_is_removed_at_once(stages: Stages) -> None:
    image = stages.keep(draw(1))
    frame, mark = (stages.store.get(key(image)) for key in (keys.frame, keys.frame_mark))
    stages.detecting = True
    stages.publish(ImageStored(image=image))
    stages.store.put(keys.frame(image), frame)
    stages.store.put(keys.frame_mark(image), mark)
    expire_frames(stages.maintenance)
    assert stages.keys() == [keys.detections(image), keys.stored_image(image)]
    assert stages.row(image).state == ImageState.DETECTED


def test_frame_is_kept_where_only_the_row_says_detected(stages: Stages) -> None:
    image = stages.keep(draw(1))
    stages.catalog.images.mark_detected(image, Found(START, 0, 0))
    expire_frames(stages.maintenance)
    assert len(stages.keys(keys.FRAMES)) == 2


def test_detected_image_whose_row_came_late_is_not_called_expired(
    stages: Stages, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = stages.keep(draw(1))
    with monkeypatch.context() as cut_off:  # as a process leaves it that ends after the mark
        cut_off.setattr(processing, "finish", lambda context, image_id: None)
        detect_image(stages.detection, image)
    let_pass(stages, LIFETIME_S)
    expire_frames(stages.maintenance)
    assert stages.keys(keys.FRAMES) == []
    assert stages.row(image).state == ImageState.STORED
    detect_image(stages.detection, image)
    assert stages.row(image).state == ImageState.DETECTED


def test_near_duplicate_past_its_lifetime_is_gone_and_no_longer_restorable(
    stages: Stages,
) -> None:
    stages.keep(draw(1))
    image = stages.keep(draw(1, noise=1))
    reason = stages.row(image).reason
    let_pass(stages, LIFETIME_S - 1)
    expire_dropped(stages.maintenance)
    assert restorable(stages) == [image]
    let_pass(stages, 1)
    expire_dropped(stages.maintenance)
    assert stages.keys(keys.DROPPED) == restorable(stages) == []
    assert (stages.row(image).state, stages.row(image).reason) == (ImageState.EXPIRED, reason)
    assert len(stages.catalog.drops.search(DropFilter())) == 1, "it stays in the list"
    with pytest.raises(UserError, match="its bytes are gone"):
        restore_drop(stages.maintenance, image)


def test_near_duplicates_wait_fifty_at_most_per_camera() -> None:
    assert MaintenanceSettings().dropped_per_camera == 50


def test_surplus_of_near_duplicates_goes_oldest_first_and_per_camera(stages: Stages) -> None:
    for camera in (CAMERA, OTHER):
        stages.keep(draw(1), camera)
    ours = [stages.keep(draw(1, noise=noise)) for noise in range(1, 6)]
    theirs = [stages.keep(draw(1, noise=noise), OTHER) for noise in range(1, 3)]
    settings = MaintenanceSettings(dropped_per_camera=3)
    expire_dropped(replace(stages.maintenance, settings=settings))
    assert restorable(stages) == [*ours[2:], *theirs]
    assert {keys.image_of(key) for key in stages.keys(keys.DROPPED)} == {*ours[2:], *theirs}


def test_bytes_left_by_a_restore_are_removed_at_once(stages: Stages) -> None:
    stages.keep(draw(1))
    image = stages.keep(draw(1, noise=1))
    left, mark = (stages.store.get(key(image)) for key in (keys.dropped, keys.dropped_mark))
    restore_drop(stages.maintenance, image)
    stages.store.put(keys.dropped(image), left)
    stages.store.put(keys.dropped_mark(image), mark)
    expire_dropped(stages.maintenance)
    assert stages.keys(keys.DROPPED) == []
    assert stages.row(image).state == ImageState.STORED


def test_days_of_sweeps_leave_nothing_unblurred(stages: Stages) -> None:
    for seed in range(3):
        stages.keep(draw(seed))
        stages.keep(draw(seed, noise=1))
    for _ in range(26):
        let_pass(stages, 3600)
        sweep(stages.maintenance)
    assert stages.keys() == []
    assert stages.catalog.images.count_by_state() == {"quai": {"expired": 6}}


def test_frame_that_expired_undetected_is_counted_listed_and_keeps_its_reason(
    stages: Stages,
) -> None:
    image = stages.keep(draw(1))
    stages.catalog.work.claim(image, "t", stages.clock(), stages.clock())
    stages.catalog.work.quarantine(image, "t", "NotAnonymised: 1 face", stages.clock())
    stages.seconds += 25 * 3600
    sweep(stages.maintenance)
    sweep(stages.maintenance)
    assert stages.catalog.counters.totals()["quai"][Outcome.UNDETECTED] == 1
    [drop] = stages.catalog.drops.search(DropFilter(outcome=Outcome.UNDETECTED))
    assert drop.image_id == image
    assert drop.reason == "NotAnonymised: 1 face; not detected within 24 h"
    assert stages.row(image).reason == drop.reason
