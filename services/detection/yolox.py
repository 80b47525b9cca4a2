"""Road users by YOLOX-nano (Megvii, Apache-2.0) on ONNX Runtime, one thread per call."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as runtime_errors

from pipeline.errors import CorruptModel
from pipeline.records import Detection, ModelIdentity
from services.detection.detector import DecodedImage, clip_box
from services.detection.models import YOLOX_NANO, FoundModel
from services.detection.pixels import Pixels

SIDE = 416
STRIDES = (8, 16, 32)
INPUT_SHAPE = [1, 3, SIDE, SIDE]
OUTPUT_SHAPE = [1, 3549, 85]  # x, y, width, height, object, 80 COCO classes
PAD_GREY = 114
SCORE_THRESHOLD = 0.35
OVERLAP_THRESHOLD = 0.45
UNREADABLE = (  # ONNX Runtime's errors have no common root
    runtime_errors.Fail,
    runtime_errors.InvalidArgument,
    runtime_errors.InvalidGraph,
    runtime_errors.InvalidProtobuf,
    runtime_errors.NotImplemented,
    runtime_errors.RuntimeException,
)
COCO_LABELS = {0: "person", 1: "bicycle", 2: "car", 3: "motorcycle", 5: "bus", 7: "truck"}
# Boxes suppress one another within a group: a van is often found as a car and as a truck.
GROUPS = {0: 0, 1: 1, 2: 2, 3: 1, 5: 2, 7: 2}

Floats = npt.NDArray[np.float32]


class YoloxNano:
    """Finds people and vehicles; small ones are lost in the reduction to 416 x 416."""

    name = "yolox-nano"
    labels = tuple(COCO_LABELS.values())
    finds_faces = False

    def __init__(self, model: FoundModel, score_threshold: float = SCORE_THRESHOLD) -> None:
        """Load `model`. Raises CorruptModel if ONNX Runtime cannot run it as YOLOX-nano."""
        self.identity = ModelIdentity(
            name=self.name, sha256=model.sha256, licence=YOLOX_NANO.licence
        )
        self._score_threshold = score_threshold
        self._session = _load(model)
        self._input = self._session.get_inputs()[0].name
        self._grid, self._stride = _make_grid()

    def detect(self, images: Sequence[DecodedImage]) -> list[tuple[Detection, ...]]:
        return [self._find_objects(image.pixels) for image in images]

    def _find_objects(self, pixels: Pixels) -> tuple[Detection, ...]:
        blob, scale = letterbox(pixels)
        output = self._session.run(None, {self._input: blob})[0][0]
        scores = output[:, 4:5] * output[:, 5:]
        classes = scores.argmax(axis=1)
        best = scores.max(axis=1)
        kept = (best >= self._score_threshold) & np.isin(classes, list(COCO_LABELS))
        boxes = self._decode_boxes(output[:, :4])[kept] / scale
        return self._select(boxes, best[kept], classes[kept], pixels.shape[:2])

    def _decode_boxes(self, output: Floats) -> Floats:
        """Boxes (x, y, width, height) in pixels of the letterbox, from offsets on the grid."""
        centres = (output[:, :2] + self._grid) * self._stride
        # A hostile picture must not overflow the exponential.
        sizes = np.exp(np.minimum(output[:, 2:], 10.0)) * self._stride
        decoded: Floats = np.hstack([centres - sizes / 2, sizes])
        return decoded

    def _select(
        self, boxes: Floats, scores: Floats, classes: npt.NDArray[np.int64], size: tuple[int, ...]
    ) -> tuple[Detection, ...]:
        height, width = size
        kept = cv2.dnn.NMSBoxesBatched(
            boxes.tolist(),
            scores.tolist(),
            [GROUPS[index] for index in classes.tolist()],
            self._score_threshold,
            OVERLAP_THRESHOLD,
        )
        found = []
        for index in kept:
            x, y, box_width, box_height = boxes[index].tolist()
            if box := clip_box((x, y, x + box_width, y + box_height), width, height):
                label = COCO_LABELS[int(classes[index])]
                score = min(float(scores[index]), 1.0)
                found.append(Detection(label=label, score=score, box=box, detector=self.name))
        return tuple(found)


def letterbox(pixels: Pixels) -> tuple[Floats, float]:
    """The picture at the top left of a grey 416 x 416 square, (1, 3, 416, 416), and its scale."""
    height, width = pixels.shape[:2]
    scale = min(SIDE / height, SIDE / width)
    size = (max(1, int(width * scale)), max(1, int(height * scale)))
    square = np.full((SIDE, SIDE, 3), PAD_GREY, np.uint8)
    square[: size[1], : size[0]] = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(square.transpose(2, 0, 1)[None], np.float32), scale


def _load(model: FoundModel) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # one worker slot per core already
    options.inter_op_num_threads = 1
    unreadable = f"{model.path} does not run as YOLOX-nano: delete it"
    try:
        session = onnxruntime.InferenceSession(
            model.data, options, providers=["CPUExecutionProvider"]
        )
    except UNREADABLE as error:
        raise CorruptModel(unreadable) from error
    shapes = [session.get_inputs()[0].shape, session.get_outputs()[0].shape]
    if shapes != [INPUT_SHAPE, OUTPUT_SHAPE]:
        raise CorruptModel(f"{unreadable} (its input and output are {shapes})")
    return session


def _make_grid() -> tuple[Floats, Floats]:
    """Column and row of each of the 3549 outputs, and its stride, (3549, 2) and (3549, 1)."""
    grids, strides = [], []
    for stride in STRIDES:
        count = SIDE // stride
        columns, rows = np.meshgrid(np.arange(count), np.arange(count))
        grids.append(np.stack([columns, rows], axis=2).reshape(-1, 2))
        strides.append(np.full((count * count, 1), stride))
    return np.concatenate(grids).astype(np.float32), np.concatenate(strides).astype(np.float32)
