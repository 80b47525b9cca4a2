"""YuNet runs on any size, from any thread, and refuses a file that is not YuNet."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import CorruptModel
from services.detection.anonymisation import anonymise
from services.detection.detector import DecodedImage
from services.detection.models import FoundModel, find_model
from services.detection.pixels import Pixels, decode_pixels
from services.detection.yunet import YuNet

MODELS = os.environ.get("TRABOULE_MODELS_DIR")
IMAGES = os.environ.get("TRABOULE_IMAGES_DIR")
MAX_IMAGES = 6

needs_images = pytest.mark.skipif(
    not IMAGES, reason="set TRABOULE_IMAGES_DIR to a folder with faces_groups/"
)


@pytest.fixture(scope="module")
def yunet() -> YuNet:
    if not MODELS:
        pytest.skip("set TRABOULE_MODELS_DIR to a folder with the models")
    return YuNet(find_model("yunet", Path(MODELS), Path(MODELS)))


def read_groups() -> Iterator[Pixels]:
    for path in sorted(Path(IMAGES or "", "faces_groups").glob("*.jpg"))[:MAX_IMAGES]:
        yield decode_pixels(path.read_bytes())


def test_yunet_refuses_a_corrupt_file(tmp_path: Path) -> None:
    path = tmp_path / "face_detection_yunet_mine.onnx"
    with pytest.raises(CorruptModel, match=path.name):
        YuNet(FoundModel(path, "0" * 64, official=False, data=b"no network at all"))


def test_yunet_refuses_another_network(yunet: YuNet) -> None:
    other = find_model("yolox-nano", Path(MODELS or ""), Path())
    with pytest.raises(CorruptModel, match=other.path.name):
        YuNet(other)


def test_yunet_names_itself_by_the_hash_of_its_file(yunet: YuNet) -> None:
    found = find_model("yunet", Path(MODELS or ""), Path())
    assert (yunet.identity.name, yunet.identity.licence) == ("yunet", "MIT")
    assert yunet.identity.sha256 == found.sha256


@pytest.mark.parametrize(
    ("width", "height"), [(1, 1), (5, 7), (640, 3), (640, 31), (31, 640), (301, 203), (4000, 20)]
)
def test_yunet_finds_nothing_in_grey_of_any_size(yunet: YuNet, width: int, height: int) -> None:
    # Unpadded, OpenCV gives a box of infinite size for a picture of 640 x 31.
    grey = np.full((height, width, 3), 100, np.uint8)
    assert yunet.detect([DecodedImage(grey)]) == [()]


@needs_images
def test_yunet_finds_the_faces_of_a_group(yunet: YuNet) -> None:
    for pixels in read_groups():
        height, width = pixels.shape[:2]
        [faces] = yunet.detect([DecodedImage(pixels)])
        assert len(faces) >= 3
        for face in faces:
            assert 0 <= face.box.x1 < face.box.x2 <= width
            assert 0 <= face.box.y1 < face.box.y2 <= height
            assert (face.label, face.detector) == ("face", "yunet")


@needs_images
def test_yunet_scales_the_boxes_of_a_reduced_picture_back(yunet: YuNet) -> None:
    pixels = next(read_groups())
    large = pixels.repeat(3, axis=0).repeat(3, axis=1)
    assert max(large.shape) > 1920
    [faces, large_faces] = yunet.detect([DecodedImage(pixels), DecodedImage(large)])
    surest = max(faces, key=lambda face: face.score).box
    nearest = min(abs(face.box.x1 / 3 - surest.x1) for face in large_faces)
    assert nearest < 0.2 * (surest.x2 - surest.x1)


@needs_images
def test_yunet_answers_alike_in_every_thread(yunet: YuNet) -> None:
    images = [DecodedImage(pixels) for pixels in read_groups()]
    alone = yunet.detect(images)
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda image: yunet.detect([image])[0], images * 3))
    assert together == alone * 3


@needs_images
def test_yunet_finds_no_face_after_anonymising(yunet: YuNet) -> None:
    for pixels in read_groups():
        [faces] = yunet.detect([DecodedImage(pixels)])
        result = anonymise(
            pixels,
            [face.box for face in faces],
            lambda image: [face.box for face in yunet.detect([DecodedImage(image)])[0]],
        )
        assert result.blurred >= len(faces)
        assert yunet.detect([DecodedImage(decode_pixels(result.jpeg))]) == [()]
