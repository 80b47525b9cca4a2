"""Detection beside itself, beside a person who erases, and after it was cut off."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline import keys
from pipeline.records import Detection, ImageState, Tombstone
from pipeline.storage import StoredObject, put_json
from services.detection import processing
from services.detection.detector import DecodedImage
from services.detection.processing import detect_image, finish
from tests.stages import START, Bright, Stages, draw, open_stages


@pytest.fixture
def stages(tmp_path: Path) -> Iterator[Stages]:
    stages = open_stages(tmp_path)
    stages.detecting = False
    yield stages
    stages.catalog.close()


class Counting(Bright):
    """Counts its looks; does something of the test's at each."""

    def __init__(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        self.looks, self.meanwhile = 0, meanwhile

    def detect(self, images: Sequence[DecodedImage]) -> list[tuple[Detection, ...]]:
        self.looks += 1
        self.meanwhile()
        return super().detect(images)


class Buried:
    """A store where the image is erased right after it was put."""

    def __init__(self, stages: Stages, image: str) -> None:
        self._stages, self._store, self._image = stages, stages.store, image

    def put(self, key: str, stored: StoredObject) -> None:
        self._store.put(key, stored)
        if key == keys.stored_image(self._image):
            bury(self._stages, self._image)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def bury(stages: Stages, image: str) -> None:
    row = stages.row(image)
    tombstone = Tombstone(
        id=image, source=row.source, sha256_received=row.sha256_received, erased_at=START
    )
    put_json(stages.store, keys.tombstone(image), tombstone.model_dump_json())


def test_message_said_again_after_the_mark_is_finished_without_a_look(
    stages: Stages, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, detector = stages.keep(draw(1)), Counting()
    stages.detectors = [detector]
    with monkeypatch.context() as cut_off:
        cut_off.setattr(processing, "finish", lambda context, image_id: None)
        detect_image(stages.detection, image)
    assert stages.row(image).state == ImageState.STORED
    looks = detector.looks
    for _ in range(2):
        detect_image(stages.detection, image)
    assert detector.looks == looks
    assert stages.row(image).state == ImageState.DETECTED
    assert stages.keys() == [keys.detections(image), keys.stored_image(image)]


def test_image_in_work_is_nobody_elses(stages: Stages) -> None:
    image = stages.keep(draw(1))
    detector = Counting()
    meanwhile = Counting()
    beside = replace(stages.detection, detectors=lambda _: [meanwhile])
    detector.meanwhile = lambda: detect_image(beside, image)
    stages.detectors = [detector]
    detect_image(stages.detection, image)
    assert (detector.looks, meanwhile.looks) == (2, 0)
    assert stages.row(image).attempts == 1


def test_erased_image_is_not_looked_at(stages: Stages) -> None:
    image, detector = stages.keep(draw(1)), Counting()
    stages.detectors = [detector]
    bury(stages, image)
    detect_image(stages.detection, image)
    assert detector.looks == 0


@pytest.mark.parametrize("when", ["put", "look", "between"])
def test_image_erased_meanwhile_leaves_its_tombstone_alone(stages: Stages, when: str) -> None:
    image = stages.keep(draw(1))
    context = stages.detection
    if when == "look":  # before what is found is stored
        stages.detectors = [Counting(lambda: bury(stages, image))]
    elif when == "put":  # between the two objects
        context = replace(context, store=Buried(stages, image))
    detect_image(context, image)
    if when == "between":  # two messages
        bury(stages, image)
        finish(context, image)
    assert stages.keys() == [keys.tombstone(image)]
