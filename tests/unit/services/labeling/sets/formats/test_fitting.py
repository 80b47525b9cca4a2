from __future__ import annotations

import pytest

from pipeline.annotations import CLASSES, Shape, ShapeKind
from services.labeling.sets.formats.fitting import Fitted, corners_of, fit_shapes
from services.labeling.sets.formats.vocabulary import LabelFormat, Remark
from tests.labels import CORNERS, Said, box, drawn, make_annotation

IMAGE = "quai-20261121T091640Z-8be14bda"
TRIANGLE = drawn("car", ShapeKind.POLYGON, (10, 10), (60, 10), (60, 60))
TURNED = drawn("car", ShapeKind.ROTATED_BOX, *CORNERS)


def fit(shape: Shape, form: LabelFormat = LabelFormat.YOLO) -> Fitted:
    return fit_shapes(make_annotation(IMAGE, Said([shape])), CLASSES, form)


def test_box_in_the_image_stays_as_it_is() -> None:
    fitted = fit(box("car", 1, 2, 30, 40))
    assert not fitted.remarks
    assert fitted.shapes[0].points == ((1, 2), (30, 40))
    assert fitted.shapes[0].class_id == CLASSES.index("car")


@pytest.mark.parametrize(
    ("shape", "form", "remark", "kind"),
    [
        (box("car", -5, 2, 30, 40), LabelFormat.YOLO, Remark.CLIPPED, ShapeKind.BOX),
        (TURNED, LabelFormat.YOLO, Remark.ROTATED_AS_UPRIGHT, ShapeKind.BOX),
        (TURNED, LabelFormat.YOLO_OBB, None, ShapeKind.ROTATED_BOX),
        (TURNED, LabelFormat.COCO, None, ShapeKind.ROTATED_BOX),
        (TRIANGLE, LabelFormat.YOLO, Remark.POLYGON_AS_BOX, ShapeKind.BOX),
        (TRIANGLE, LabelFormat.YOLO_OBB, Remark.POLYGON_AS_BOX, ShapeKind.BOX),
        (TRIANGLE, LabelFormat.VOC, Remark.POLYGON_AS_BOX, ShapeKind.BOX),
        (TRIANGLE, LabelFormat.COCO, None, ShapeKind.POLYGON),
        (drawn("car", ShapeKind.BRUSH), LabelFormat.COCO, Remark.BRUSH, None),
        (drawn("car", ShapeKind.KEYPOINT, (5, 5)), LabelFormat.YOLO, Remark.KEYPOINT, None),
        (box("tank", 1, 2, 30, 40), LabelFormat.YOLO, Remark.UNKNOWN_LABEL, None),
        (box("car", 1, 2, 1.5, 40), LabelFormat.YOLO, Remark.TOO_SMALL, None),
        (box("car", 400, 2, 450, 40), LabelFormat.YOLO, Remark.TOO_SMALL, None),
        (drawn("car", ShapeKind.BOX), LabelFormat.YOLO, Remark.TOO_SMALL, None),
    ],
)
def test_shape_is_placed_or_remarked_upon(
    shape: Shape, form: LabelFormat, remark: Remark | None, kind: ShapeKind | None
) -> None:
    fitted = fit(shape, form)
    assert list(fitted.remarks) == ([] if remark is None else [remark])
    assert [placed.kind for placed in fitted.shapes] == ([] if kind is None else [kind])


def test_polygon_that_leaves_the_image_is_cut_at_its_edge() -> None:
    fitted = fit(drawn("car", ShapeKind.POLYGON, (300, 10), (400, 10), (400, 60), (300, 60)))
    bounds = fitted.shapes[0].bounds
    assert (bounds.x1, bounds.y1, bounds.x2, bounds.y2) == (300, 10, 320, 60)
    assert Remark.CLIPPED in fitted.remarks


def test_every_point_written_lies_in_the_image() -> None:
    leaving = drawn("car", ShapeKind.ROTATED_BOX, (300, 10), (330, 40), (300, 70), (270, 40))
    [placed] = fit(leaving, LabelFormat.YOLO_OBB).shapes
    assert all(0 <= x <= 320 and 0 <= y <= 240 for x, y in placed.points)


def test_corners_of_a_box_go_round_clockwise() -> None:
    [placed] = fit(box("car", 1, 2, 30, 40)).shapes
    assert corners_of(placed) == ((1, 2), (30, 2), (30, 40), (1, 40))
