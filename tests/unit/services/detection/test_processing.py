from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pipeline import keys
from pipeline.errors import CorruptModel, ModelUnavailable, StorageError, UserError
from pipeline.records import (
    BoundingBox,
    Camera,
    Detection,
    Detections,
    ImageState,
    Policy,
    Provenance,
)
from pipeline.thumbnails import thumbnail_array
from services.detection.detector import DecodedImage, Detector
from services.detection.haar import HaarCascade
from services.detection.pixels import decode_pixels, shrink_grey
from services.detection.processing import detect_image
from tests.stages import CAMERA, Bright, Stages, draw, open_stages

KEEPING = CAMERA.model_copy(update={"policy": Policy.KEEP})
TURNED = b"\xff\xe1\x00\x22Exif\x00\x00MM\x00\x2a\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03" + (
    b"\x00\x00\x00\x01\x00\x06\x00\x00\x00\x00\x00\x00"  # orientation 6: a quarter turn
)


@pytest.fixture
def stages(tmp_path: Path) -> Iterator[Stages]:
    stages = open_stages(tmp_path)
    stages.detecting = False
    yield stages
    stages.catalog.close()


class Written:
    """An adapter that notes each of its changes, by name and by where it is made."""

    def __init__(self, adapter: Any, noted: Sequence[str], log: list[str]) -> None:
        self._adapter, self._noted, self._log = adapter, noted, log

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._adapter, name)
        if name not in self._noted:
            return method

        def change(*arguments: Any, **options: Any) -> Any:
            done = method(*arguments, **options)
            self._log.append(f"{name} {arguments[0]}")
            return done

        return change


class Everywhere(Bright):
    """Finds a face in whatever it is shown."""

    def detect(self, images: Sequence[DecodedImage]) -> list[tuple[Detection, ...]]:
        box = BoundingBox(x1=10, y1=10, x2=40, y2=40)
        return [(Detection(label="face", score=0.9, box=box, detector=self.name),) for _ in images]


class Full:
    """A store without room for one more object."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def put(self, key: str, stored: object) -> None:
        raise StorageError(f"cannot store {key}: no room")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def result_of(stages: Stages, image: str) -> Detections:
    return Detections.model_validate_json(stages.store.get(keys.detections(image)).data)


def pixels_of(stages: Stages, image: str) -> DecodedImage:
    return DecodedImage(decode_pixels(stages.store.get(keys.stored_image(image)).data))


def assert_given_up(stages: Stages, image: str, reason: str) -> None:
    row = stages.row(image)
    assert (row.state, row.claim_token) == (ImageState.QUARANTINED, None)
    assert reason in row.reason
    assert stages.keys(keys.FRAMES) == [keys.frame(image), keys.frame_mark(image)]
    assert stages.keys(keys.IMAGES) == stages.keys(keys.DETECTIONS) == []


def assert_attempt_is_given_back(stages: Stages, image: str, state: ImageState) -> None:
    row = stages.row(image)
    assert (row.state, row.attempts, row.claim_token) == (state, 0, None)
    assert stages.keys() == [keys.frame(image), keys.frame_mark(image)]


def test_changes_are_made_in_the_order_that_loses_nothing(stages: Stages) -> None:
    image, log = stages.keep(draw(1)), list[str]()
    stages.store = Written(stages.store, ["put", "delete"], log)
    images: Any = Written(stages.catalog.images, ["mark_detected"], log)
    catalog = replace(stages.catalog, images=images)
    context = replace(
        stages.detection, catalog=catalog, publish=lambda message: log.append(repr(message))
    )
    detect_image(context, image)
    assert log == [
        f"put {keys.stored_image(image)}",
        f"put {keys.detections(image)}",
        f"mark_detected {image}",
        f"delete {keys.frame(image)}",
        f"delete {keys.frame_mark(image)}",
        f"ImageDetected(image={image!r})",
    ]


def test_face_is_blurred_and_told_in_the_result_and_the_row(stages: Stages) -> None:
    image = stages.keep(draw(1))
    detect_image(stages.detection, image)
    assert Bright().detect([pixels_of(stages, image)]) == [()]
    result, row = result_of(stages, image), stages.row(image)
    assert (result.blurred, result.rounds, result.count("face")) == (1, 1, 1)
    assert result.provenance.id == image
    assert result.bytes_stored == len(stages.store.get(keys.stored_image(image)).data)
    assert (row.state, row.faces, row.announce_at) == (ImageState.DETECTED, 1, None)
    assert stages.keys() == [keys.detections(image), keys.stored_image(image)]


def test_policy_keep_leaves_the_face_and_strips_the_metadata(stages: Stages) -> None:
    image = stages.keep(draw(1), KEEPING)
    assert b"\xff\xfe" in stages.store.get(keys.frame(image)).data, "the comment"
    detect_image(stages.detection, image)
    assert len(Bright().detect([pixels_of(stages, image)])[0]) == 1
    assert b"\xff\xfe" not in stages.store.get(keys.stored_image(image)).data
    assert result_of(stages, image).blurred == 0


@pytest.mark.parametrize("camera", [CAMERA, KEEPING])
def test_orientation_is_applied_and_its_segment_gone(stages: Stages, camera: Camera) -> None:
    plain = draw(1)
    image = stages.keep(plain[:2] + TURNED + plain[2:], camera)
    detect_image(stages.detection, image)
    stored = stages.store.get(keys.stored_image(image)).data
    assert b"Exif" not in stored
    assert decode_pixels(stored).shape == (320, 240, 3)
    result = result_of(stages, image)
    assert (result.width, result.height) == (240, 320)
    turned = cv2.rotate(decode_pixels(plain), cv2.ROTATE_90_CLOCKWISE)
    [expected] = Bright().detect([DecodedImage(np.asarray(turned, np.uint8))])
    assert result.detections == expected, "its boxes are in pixels of the image as stored"


def test_image_without_a_trusted_face_detector_awaits_one(stages: Stages) -> None:
    image = stages.keep(draw(1))
    stages.detectors = [HaarCascade()]
    detect_image(stages.detection, image)
    assert_attempt_is_given_back(stages, image, ImageState.AWAITING_MODEL)
    assert stages.row(image).reason
    stages.detectors = [Bright()]
    detect_image(stages.detection, image)
    assert stages.row(image).state == ImageState.DETECTED


def test_policy_asks_for_the_face_detector_that_the_camera_left_out(stages: Stages) -> None:
    asked: list[Sequence[str]] = []

    def give(names: Sequence[str]) -> Sequence[Detector]:
        asked.append(names)
        raise ModelUnavailable("no yunet here")

    context = replace(stages.detection, detectors=give)
    for camera in (CAMERA, KEEPING):
        viola_jones = camera.model_copy(update={"id": camera.policy, "detectors": ("haar",)})
        detect_image(context, stages.keep(draw(1), viola_jones))
    assert asked == [("yunet", "haar"), ("haar",)]


@pytest.mark.parametrize("error", [ModelUnavailable("missing"), CorruptModel("not yunet's")])
def test_model_that_cannot_be_used_is_no_fault_of_the_image(
    stages: Stages, error: Exception
) -> None:
    image = stages.keep(draw(1))

    def give(names: Sequence[str]) -> Sequence[Detector]:
        raise error

    for _ in range(4):
        detect_image(replace(stages.detection, detectors=give), image)
    assert_attempt_is_given_back(stages, image, ImageState.AWAITING_MODEL)
    assert stages.row(image).reason == str(error)


def test_unknown_detector_is_told_as_the_reason(stages: Stages) -> None:
    image = stages.keep(draw(1))

    def give(names: Sequence[str]) -> Sequence[Detector]:
        raise UserError("no detector yunett: there are yunet, haar")

    detect_image(replace(stages.detection, detectors=give), image)
    assert_given_up(stages, image, "no detector yunett")


def test_face_that_stays_is_quarantined_and_never_stored(stages: Stages) -> None:
    image = stages.keep(draw(1))
    stages.detectors = [Everywhere()]
    detect_image(stages.detection, image)
    assert_given_up(stages, image, "NotAnonymised")


def test_bytes_that_cannot_be_decoded_are_quarantined(stages: Stages) -> None:
    image = stages.keep(draw(1))
    frame = stages.store.get(keys.frame(image))
    stages.store.put(keys.frame(image), replace(frame, data=b"\xff\xd8 nothing"))
    detect_image(stages.detection, image)
    assert_given_up(stages, image, "UnreadableImage")


def test_store_without_room_gives_the_attempt_back_and_says_so(stages: Stages) -> None:
    image, store = stages.keep(draw(1)), stages.store
    stages.store = Full(store)
    for _ in range(4):
        with pytest.raises(StorageError):
            detect_image(stages.detection, image)
    assert_attempt_is_given_back(stages, image, ImageState.STORED)
    stages.store = store
    detect_image(stages.detection, image)
    assert stages.row(image).state == ImageState.DETECTED


def test_deadline_missed_thrice_is_quarantined(stages: Stages) -> None:
    image = stages.keep(draw(1))
    late = replace(stages.detection, deadline_s=-1)
    for attempts in (1, 2, 3):
        detect_image(late, image)
        row = stages.row(image)
        assert (row.state, row.attempts) == (ImageState.STORED, attempts)
    detect_image(stages.detection, image)
    assert_given_up(stages, image, "missed their deadline")


def test_no_thumbnail_shows_a_face(stages: Stages) -> None:
    """A thumbnail is a picture too: where a face was, it shows what is stored instead."""
    for seed in (1, 2):
        image = stages.keep(draw(seed))
        mark = stages.store.get(keys.frame_mark(image)).data
        raw = thumbnail_array(Provenance.model_validate_json(mark).thumbnail)
        detect_image(stages.detection, image)
        kept = result_of(stages, image).provenance
        assert kept.previous_thumbnail is None
        after = thumbnail_array(kept.thumbnail)
        face = np.s_[30:45, 42:57]  # drawn at 140 to 190 of 320, 100 to 150 of 240
        assert np.abs(after[face].astype(int) - raw[face]).max() > 10
        stored = decode_pixels(stages.store.get(keys.stored_image(image)).data)
        small = shrink_grey(stored, kept.thumbnail)
        assert np.abs(after[face].astype(int) - small[face]).max() <= 1
        elsewhere = np.ones(after.shape, bool)
        elsewhere[20:56, 30:70] = False
        assert (after[elsewhere] == raw[elsewhere]).all()
        look = stages.row(image).look
        assert look is not None
        assert look["thumbnail"] == kept.thumbnail.model_dump_json()
        assert len(look["hidden"]) == 1


def test_face_is_blurred_whichever_detector_found_it(stages: Stages) -> None:
    image = stages.keep(draw(1))
    stages.detectors = [Blind(), Elsewhere()]
    detect_image(stages.detection, image)
    pixels = decode_pixels(stages.store.get(keys.stored_image(image)).data)
    before = decode_pixels(draw(1))
    box = np.s_[20:60, 20:60]
    assert np.abs(pixels[box].astype(int) - before[box]).mean() > 10
    assert result_of(stages, image).blurred == 1


class Blind(Bright):
    """A trusted detector that finds nothing."""

    def detect(self, images: Sequence[DecodedImage]) -> list[tuple[Detection, ...]]:
        return [()] * len(images)


class Elsewhere(Bright):
    """One that is not trusted, and finds a face where the other found none."""

    name = "haar"
    finds_faces = False

    def detect(self, images: Sequence[DecodedImage]) -> list[tuple[Detection, ...]]:
        box = BoundingBox(x1=20, y1=20, x2=60, y2=60)
        return [(Detection(label="face", score=0.5, box=box, detector=self.name),)] * len(images)
