from __future__ import annotations

import pytest

from pipeline.looks import HIDDEN_PADDING, read_look, write_look, write_safe_look
from pipeline.novelty import find_near_duplicate
from pipeline.records import BoundingBox, Conditions, Detections, Provenance, Thumbnail
from services.detection.anonymisation import PADDING
from tests.stages import START

GREY = bytes([100]) * (96 * 54)


def provenance(pixels: bytes = GREY) -> Provenance:
    return Provenance(
        id="quai-20261121T091640Z-8be14bda",
        source="quai",
        captured_at=START,
        url="",
        licence="",
        attribution="",
        policy="anonymise",
        detectors=(),
        sha256_received="8be14bda",
        bytes_received=1,
        content_type="image/jpeg",
        width=960,
        height=540,
        phash="0" * 16,
        conditions=Conditions(brightness=100, contrast=40),
        thumbnail=Thumbnail(width=96, height=54, pixels=pixels),
    )


def result(*faces: BoundingBox) -> Detections:
    return Detections(
        provenance=provenance(),
        detections=(),
        models=(),
        detected_at=START,
        sha256_stored="",
        bytes_stored=1,
        width=960,
        height=540,
        blurred=len(faces),
        blurred_boxes=faces,
        rounds=1,
    )


def with_patch(x: int, y: int) -> bytes:
    """The grey picture with a bright patch of 4 x 4 thumbnail pixels."""
    pixels = bytearray(GREY)
    for row in range(y, y + 4):
        pixels[row * 96 + x : row * 96 + x + 4] = b"\xff" * 4
    return bytes(pixels)


def test_padding_is_what_detection_blurs() -> None:
    assert HIDDEN_PADDING == PADDING


def test_look_is_read_as_it_was_written() -> None:
    look = read_look("a", write_look(provenance()))
    assert (look.image_id, look.phash, look.thumbnail) == ("a", "0" * 16, provenance().thumbnail)
    assert look.hidden == ()


def test_blurred_face_is_hidden_with_its_padding() -> None:
    face = BoundingBox(x1=480, y1=270, x2=580, y2=370)
    [region] = read_look("a", write_safe_look(result(face))).hidden
    assert region == pytest.approx((450 / 960, 240 / 540, 610 / 960, 400 / 540))
    assert read_look("a", write_safe_look(result())).hidden == ()


def test_change_where_a_face_was_blurred_is_none_and_elsewhere_is_one() -> None:
    face = BoundingBox(x1=480, y1=270, x2=520, y2=310)
    before = read_look("before", write_safe_look(result(face)))
    on_the_face = read_look("", write_look(provenance(with_patch(48, 27))))
    elsewhere = read_look("", write_look(provenance(with_patch(10, 10))))
    assert find_near_duplicate(on_the_face, [before], 3) is not None
    assert find_near_duplicate(elsewhere, [before], 3) is None


def test_picture_that_is_mostly_blurred_is_no_witness() -> None:
    face = BoundingBox(x1=100, y1=0, x2=800, y2=540)
    before = read_look("before", write_safe_look(result(face)))
    assert find_near_duplicate(read_look("", write_look(provenance())), [before], 3) is None
