from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from pipeline import keys
from pipeline.catalog.drops import DropFilter
from pipeline.messages import ImageStored, Message
from pipeline.records import ImageState, Outcome
from pipeline.storage import StoredObject
from services.maintenance.completion import complete_dropped, complete_frames
from services.maintenance.context import MaintenanceContext
from services.maintenance.erasure import delete_image
from services.maintenance.settings import MaintenanceSettings
from tests.stages import Stages, draw

GRACE_S = 120


def patient(stages: Stages, announced: list[Message] | None = None) -> MaintenanceContext:
    sent = [] if announced is None else announced
    settings = MaintenanceSettings(storing_grace_s=GRACE_S)
    return replace(stages.maintenance, settings=settings, publish=sent.append)


@pytest.fixture
def stalled(stages: Stages) -> str:
    """An image whose process stood still until its row was given up, and then stored it."""
    image = stages.keep(draw(1))
    stages.catalog.images.remove(image)
    return image


def test_frame_without_a_row_is_taken_up(stages: Stages, stalled: str) -> None:
    stages.seconds += GRACE_S
    announced: list[Message] = []
    complete_frames(patient(stages, announced))
    assert stages.row(stalled).state == ImageState.STORED
    assert announced == [ImageStored(image=stalled)]
    assert stages.keys() == [keys.frame(stalled), keys.frame_mark(stalled)]


def test_frame_without_a_row_is_left_alone_within_its_grace(stages: Stages, stalled: str) -> None:
    stages.seconds += GRACE_S - 1
    complete_frames(patient(stages))
    assert stages.catalog.images.get(stalled) is None
    assert stages.keys() == [keys.frame(stalled), keys.frame_mark(stalled)]


def test_frame_whose_bytes_were_kept_since_is_removed(stages: Stages, stalled: str) -> None:
    stages.seconds += 1
    again = stages.keep(draw(1))
    assert again != stalled
    stages.seconds += GRACE_S
    complete_frames(patient(stages))
    assert stages.catalog.images.get(stalled) is None
    assert stages.keys() == [keys.frame(again), keys.frame_mark(again)]


@pytest.mark.parametrize("missing", [keys.frame, keys.frame_mark])
def test_half_a_frame_without_a_row_is_removed(
    stages: Stages, stalled: str, missing: Callable[[str], str]
) -> None:
    stages.store.delete(missing(stalled))
    stages.seconds += GRACE_S
    complete_frames(patient(stages))
    assert stages.keys() == []
    assert stages.take(draw(1)).outcome is Outcome.KEPT


def test_erased_frame_without_a_row_is_removed(stages: Stages, stalled: str) -> None:
    frame, mark = map(stages.store.get, stages.keys())
    delete_image(stages.maintenance, stalled)
    stages.store.put(keys.frame(stalled), frame)
    stages.store.put(keys.frame_mark(stalled), mark)
    stages.seconds += GRACE_S
    complete_frames(patient(stages))
    assert stages.catalog.images.get(stalled) is None
    assert stages.keys() == [keys.tombstone(stalled)]


def test_near_duplicate_without_a_row_is_taken_up_and_listed(stages: Stages) -> None:
    stages.keep(draw(1))
    dropped = stages.take(draw(1, noise=1)).image
    assert dropped is not None
    stages.catalog.images.remove(dropped)
    assert stages.catalog.drops.search(DropFilter(restorable=True)) == []
    stages.seconds += GRACE_S
    complete_dropped(patient(stages))
    assert stages.row(dropped).state == ImageState.DROPPED
    [drop] = stages.catalog.drops.search(DropFilter(restorable=True))
    assert drop.image_id == dropped


def test_stranger_in_raw_is_left_alone(stages: Stages) -> None:
    stages.store.put("raw/frames/notes", StoredObject(b"mine", "text/plain"))
    stages.seconds += GRACE_S
    complete_frames(patient(stages))
    assert stages.keys() == ["raw/frames/notes"]
