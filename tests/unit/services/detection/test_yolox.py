"""YOLOX: the letterbox and the boxes' decoding without a model, the rest with one."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import CorruptModel
from services.detection import yolox
from services.detection.detector import DecodedImage
from services.detection.models import FoundModel, find_model
from services.detection.pixels import decode_pixels
from services.detection.yolox import COCO_LABELS, Floats, YoloxNano, letterbox

MODELS = os.environ.get("TRABOULE_MODELS_DIR")
IMAGES = os.environ.get("TRABOULE_IMAGES_DIR")

FOUND = FoundModel(Path("yolox_nano_fake.onnx"), "0" * 64, official=False, data=b"")


class FakeInput:
    name = "images"


class FakeSession:
    """Answers with a prepared output, (1, 3549, 85)."""

    def __init__(self, output: Floats) -> None:
        self.output = output

    def get_inputs(self) -> list[FakeInput]:
        return [FakeInput()]

    def run(self, names: None, feed: dict[str, Floats]) -> list[Floats]:
        assert feed["images"].shape == (1, 3, 416, 416)
        return [self.output[None]]


@pytest.fixture
def output() -> Floats:
    return np.zeros((3549, 85), np.float32)


@pytest.fixture
def detector(output: Floats, monkeypatch: pytest.MonkeyPatch) -> YoloxNano:
    monkeypatch.setattr(yolox, "_load", lambda model: FakeSession(output))
    return YoloxNano(FOUND)


@pytest.fixture(scope="module")
def yolox_nano() -> YoloxNano:
    if not MODELS:
        pytest.skip("set TRABOULE_MODELS_DIR to a folder with the models")
    return YoloxNano(find_model("yolox-nano", Path(MODELS), Path(MODELS)))


def put_object(output: Floats, row: int, class_index: int, score: float) -> None:
    """A box of 32 x 64 pixels of the letterbox, centred on the corner of the cell `row`."""
    output[row, 2:4] = np.log(4), np.log(8)  # the first 52 * 52 rows have a stride of 8
    output[row, 4] = 1.0
    output[row, 5 + class_index] = score


def find(detector: YoloxNano, width: int = 832, height: int = 416) -> list[tuple[str, list[float]]]:
    [found] = detector.detect([DecodedImage(np.zeros((height, width, 3), np.uint8))])
    return [
        (one.label, [one.box.x1, one.box.y1, one.box.x2, one.box.y2])
        for one in sorted(found, key=lambda one: -one.score)
    ]


def test_letterbox_keeps_proportions_and_pads_with_grey() -> None:
    pixels = np.full((100, 200, 3), (10, 20, 30), np.uint8)
    blob, scale = letterbox(pixels)
    assert blob.shape == (1, 3, 416, 416)
    assert blob.dtype == np.float32
    assert scale == 2.08
    assert blob[0, :, 100, 400].tolist() == [10, 20, 30]  # blue first, 0 to 255
    assert blob[0, :, 300, 400].tolist() == [114, 114, 114]


@pytest.mark.parametrize(("width", "height"), [(1, 1), (3000, 1), (1, 3000), (416, 416)])
def test_letterbox_takes_any_size(width: int, height: int) -> None:
    blob, _ = letterbox(np.zeros((height, width, 3), np.uint8))
    assert blob.shape == (1, 3, 416, 416)


def test_yolox_decodes_a_box_into_the_pixels_of_the_picture(
    detector: YoloxNano, output: Floats
) -> None:
    put_object(output, 10 * 52 + 20, class_index=2, score=0.9)  # column 20, row 10
    [(label, box)] = find(detector)
    assert label == "car"
    # The centre (160, 80) and the size (32, 64), twice as large in a picture 832 wide.
    assert box == pytest.approx([288, 96, 352, 224], abs=0.01)


def test_yolox_clips_a_box_to_the_picture(detector: YoloxNano, output: Floats) -> None:
    put_object(output, 0, class_index=0, score=0.9)
    [(label, box)] = find(detector)
    assert label == "person"
    assert box == pytest.approx([0, 0, 32, 64], abs=0.01)


def test_yolox_keeps_six_classes_above_the_threshold(detector: YoloxNano, output: Floats) -> None:
    for class_index in range(80):
        put_object(output, (class_index // 10 * 6) * 52 + class_index % 10 * 5, class_index, 0.8)
    put_object(output, 51 * 52 + 51, class_index=2, score=0.2)
    assert sorted(label for label, _ in find(detector)) == sorted(COCO_LABELS.values())


def test_yolox_gives_one_box_for_a_van_that_is_car_and_truck(
    detector: YoloxNano, output: Floats
) -> None:
    put_object(output, 20 * 52 + 20, class_index=2, score=0.6)
    put_object(output, 20 * 52 + 21, class_index=7, score=0.7)
    assert [label for label, _ in find(detector)] == ["truck"]


def test_yolox_keeps_a_person_on_a_bicycle(detector: YoloxNano, output: Floats) -> None:
    put_object(output, 20 * 52 + 20, class_index=0, score=0.7)
    put_object(output, 20 * 52 + 21, class_index=1, score=0.6)
    assert [label for label, _ in find(detector)] == ["person", "bicycle"]


def test_yolox_survives_absurd_sizes(detector: YoloxNano, output: Floats) -> None:
    put_object(output, 10 * 52 + 20, class_index=2, score=0.9)
    output[10 * 52 + 20, 2:4] = 1e30
    assert find(detector) == [("car", [0, 0, 832, 416])]


def test_yolox_refuses_a_corrupt_file() -> None:
    with pytest.raises(CorruptModel, match=FOUND.path.name):
        YoloxNano(FoundModel(FOUND.path, "0" * 64, official=False, data=b"no network at all"))


def test_yolox_refuses_another_network(yolox_nano: YoloxNano) -> None:
    other = find_model("yunet", Path(MODELS or ""), Path())
    with pytest.raises(CorruptModel, match="its input and output are"):
        YoloxNano(other)


@pytest.mark.skipif(not IMAGES, reason="set TRABOULE_IMAGES_DIR to a folder with street/")
def test_yolox_finds_road_users_alike_in_every_thread(yolox_nano: YoloxNano) -> None:
    paths = sorted(Path(IMAGES or "", "street").glob("*.jpg"))[:20]
    images = [DecodedImage(decode_pixels(path.read_bytes())) for path in paths]
    alone = yolox_nano.detect(images)
    assert sum(map(len, alone)) >= 10
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda image: yolox_nano.detect([image])[0], images)) == alone


def test_runtime_keeps_no_device_id_and_reports_nothing(tmp_path: Path) -> None:
    # Its telemetry, where it is on, begins with a folder in the user's cache.
    ours = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    homes = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / ".cache")}
    command = [sys.executable, "-c", "import services.detection.yolox"]
    subprocess.run(command, env=ours | homes, check=True, timeout=60)
    assert not list(tmp_path.iterdir())
