"""Lists of regions as real servers, other programs and strangers write them."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.annotations import Shape, ShapeKind
from services.labeling.receiving.shapes import MAX_PROBLEMS, Problems, read_shapes

CAR = Shape(label="car", kind=ShapeKind.BOX, points=((64, 96), (256, 288)))


def draw(labels: list[Any] | None = None, /, **changes: Any) -> dict[str, Any]:
    """A box as the editor writes it; `changes` to the region, `value` to what it holds."""
    value: dict[str, Any] = {"x": 10, "y": 20, "width": 30, "height": 40, "rotation": 0}
    value |= {"rectanglelabels": ["car"] if labels is None else labels}
    return {
        "id": "r1",
        "from_name": "label",
        "to_name": "image",
        "type": "rectanglelabels",
        "original_width": 640,
        "original_height": 480,
        "image_rotation": 0,
        "origin": "manual",
        **changes,
        "value": value | changes.get("value", {}),
    }


def read(*regions: dict[str, Any]) -> tuple[list[Shape], list[str]]:
    problems = Problems()
    shapes = read_shapes(regions, 640, 480, problems)
    return list(shapes), list(problems.listed())


def other(form: str, value: dict[str, Any], /, **changes: Any) -> dict[str, Any]:
    """A region of another control than the boxes'."""
    return {**draw(), "type": form, "value": value, **changes}


def test_a_box_is_a_shape_without_a_problem() -> None:
    assert read(draw()) == ([CAR], [])


@pytest.mark.parametrize(
    ("region", "note"),
    [
        (draw(["tank"]), "the label 'tank' is not one of the classes"),
        (draw([" car "]), "the label ' car ' is not one of the classes"),
        (draw(["voiture 🚗"]), "the label 'voiture 🚗' is not one of the classes"),
        (draw(from_name="nope"), "from_name is 'nope' and not 'label': kept all the same"),
        (draw(from_name=None), "from_name is None and not 'label': kept all the same"),
        (draw(to_name="img"), "to_name is 'img' and not 'image': kept all the same"),
        (
            draw(image_rotation=90),
            "the picture was shown turned: coordinates are of the unturned one",
        ),
        (
            draw(original_width=1280, original_height=960),
            "drawn on a picture of 1280 × 960 pixels, the stored one has 640 × 480: "
            "percentages hold",
        ),
        (
            draw(original_width=None),
            "the size of the picture is not told: the stored image's is used",
        ),
        (
            draw(original_height="480"),
            "the size of the picture is not told: the stored image's is used",
        ),
        (
            draw(original_width=0),
            "the size of the picture is not one: the stored image's is used",
        ),
        (
            draw(original_width=-640),
            "the size of the picture is not one: the stored image's is used",
        ),
    ],
)
def test_what_is_odd_is_kept_and_noted(region: dict[str, Any], note: str) -> None:
    shapes, problems = read(region)
    assert [shape.points for shape in shapes] == [CAR.points]
    assert problems == [note]


def test_two_labels_on_one_region_are_two_shapes() -> None:
    shapes, problems = read(draw(["car", "truck", "car"]))
    assert [shape.label for shape in shapes] == ["car", "truck"]
    assert problems == ["region 'r1': its 2 labels are as many shapes"]


def test_a_box_over_the_edge_is_clipped_and_noted() -> None:
    shapes, problems = read(draw(value={"x": 90, "y": 90}))
    assert shapes[0].points == ((576, 432), (640, 480))
    assert problems == ["region 'r1': it was clipped to the image"]


def test_a_box_over_the_edge_by_rounding_is_clipped_alone() -> None:
    shapes, problems = read(draw(value={"x": 70, "width": 30.00001}))
    assert shapes[0].points == ((448, 96), (640, 288))
    assert problems == []


def test_a_turned_box_over_the_edge_is_kept_and_noted() -> None:
    shapes, problems = read(draw(value={"x": 90, "rotation": 30}))
    assert shapes[0].kind is ShapeKind.ROTATED_BOX
    assert len(shapes[0].points) == 4
    assert problems == ["region 'r1': it reaches outside the image"]


@pytest.mark.parametrize(
    ("region", "reason"),
    [
        (draw([]), "region 'r1': it has no label"),
        (draw([""]), "region 'r1': it has no label"),
        (draw(["car", 3]), "region 'r1': it has no label"),
        (draw(value={"rectanglelabels": "car"}), "region 'r1': it has no label"),
        (draw(["c" * 201]), "region 'r1': its label is too long, or holds control characters"),
        (draw(["car\x00"]), "region 'r1': its label is too long, or holds control characters"),
        (draw(value={"width": 0}), "region 'r1': it is thinner than a pixel"),
        (draw(value={"x": None}), "region 'r1': its x is no number"),
        (draw(value={"y": "20"}), "region 'r1': its y is no number"),
        (draw(item_index=1), "region 'r1': it is on another picture of its task"),
        ({**draw(), "value": None}, "region 'r1': it has no value"),
        ({**draw(), "value": []}, "region 'r1': it has no value"),
        ({"foo": 1}, "region number 1: it has no type"),
        ({}, "region number 1: it has no type"),
        ({**draw(), "type": 7}, "region 'r1': it has no type"),
        ({**draw(), "type": "tank"}, "region 'r1': 'tank' is no shape"),
        ({**draw(), "id": 5, "type": "choices"}, "region number 1: 'choices' is no shape"),
        (other("choices", {"choices": ["night"]}), "region 'r1': 'choices' is no shape"),
        (other("textarea", {"text": ["a tram"]}), "region 'r1': 'textarea' is no shape"),
        (other("vectorlabels", {"vertices": []}), "region 'r1': 'vectorlabels' is no shape"),
        (other("labels", {"labels": ["car"], "start": 0}), "region 'r1': 'labels' is no shape"),
        (other("rectangle", draw()["value"]), "region 'r1': it has no label"),
        (
            {"type": "relation", "from_id": "r1", "to_id": "r2", "direction": "right"},
            "region number 1: 'relation' is no shape",
        ),
    ],
)
def test_what_cannot_be_used_is_named(region: dict[str, Any], reason: str) -> None:
    assert read(region) == ([], [reason])


def test_a_polygon_is_clipped_to_the_image() -> None:
    points = [[-10, 10], [10, 10], [10, 30], [-10, 30]]
    value = {"points": points, "closed": True, "polygonlabels": ["bus"]}
    shapes, problems = read(other("polygonlabels", value))
    assert (shapes[0].label, shapes[0].kind) == ("bus", ShapeKind.POLYGON)
    assert set(shapes[0].points) == {(0, 48), (64, 48), (64, 144), (0, 144)}
    assert problems == ["region 'r1': it was clipped to the image"]


def test_a_polygon_left_open_is_taken_as_closed() -> None:
    value = {
        "points": [[10, 10], [20, 10], [20, 30]],
        "closed": False,
        "polygonlabels": ["bus"],
    }
    shapes, problems = read(other("polygonlabels", value))
    assert len(shapes[0].points) == 3
    assert problems == ["region 'r1': a polygon left open, taken as closed"]


def test_an_ellipse_is_the_box_around_it_and_that_is_said() -> None:
    value = {"x": 50, "y": 50, "radiusX": 10, "radiusY": 20, "ellipselabels": ["car"]}
    shapes, problems = read(other("ellipselabels", value))
    assert shapes == [Shape(label="car", kind=ShapeKind.BOX, points=((256, 144), (384, 336)))]
    assert problems == ["region 'r1': the box around an ellipse stands for it"]


def test_a_keypoint_is_one_point() -> None:
    value = {"x": 50, "y": 50, "width": 0.5, "keypointlabels": ["face"]}
    shapes, problems = read(other("keypointlabels", value))
    assert shapes == [Shape(label="face", kind=ShapeKind.KEYPOINT, points=((320, 240),))]
    assert problems == []


@pytest.mark.parametrize(
    ("form", "value"),
    [
        ("brushlabels", {"format": "rle", "rle": [0, 0, 7], "brushlabels": ["car"]}),
        ("bitmasklabels", {"imageDataURL": "data:image/png;base64,", "bitmasklabels": ["car"]}),
    ],
)
def test_a_mask_is_a_shape_without_points(form: str, value: dict[str, Any]) -> None:
    shapes, problems = read(other(form, value))
    assert shapes == [Shape(label="car", kind=ShapeKind.BRUSH)]
    assert problems == []


def test_an_outline_beside_its_labels_is_one_shape() -> None:
    """As the controls Rectangle and Labels write it: an entry each, by one id."""
    place = {"x": 10, "y": 20, "width": 30, "height": 40, "rotation": 0}
    rectangle = other("rectangle", place)
    both = [rectangle, other("labels", {**place, "labels": ["car"]})]
    assert read(*both) == ([CAR], [])
    assert read(*reversed(both)) == ([CAR], [])
    assert read(rectangle, other("labels", {"labels": ["car"]})) == ([CAR], [])


def test_labels_beside_a_polygon_are_the_polygons() -> None:
    polygon = other("polygon", {"points": [[10, 10], [20, 10], [20, 30]]})
    shapes, _ = read(polygon, other("labels", {"labels": ["bus"]}))
    assert [(shape.label, shape.kind) for shape in shapes] == [("bus", ShapeKind.POLYGON)]


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ({"x": 10, "y": 20, "width": 30, "height": 40}, ShapeKind.BOX),
        ({"points": [[1, 1], [9, 1], [9, 9]]}, ShapeKind.POLYGON),
        ({"x": 10, "y": 20, "radiusX": 3, "radiusY": 4, "rotation": 20}, ShapeKind.ROTATED_BOX),
        ({"format": "rle", "rle": [1]}, ShapeKind.BRUSH),
        ({"x": 10, "y": 20, "width": 0.3}, ShapeKind.KEYPOINT),
    ],
)
def test_labels_alone_are_told_by_what_they_hold(value: dict[str, Any], kind: ShapeKind) -> None:
    shapes, _ = read(other("labels", {**value, "labels": ["car"]}))
    assert [shape.kind for shape in shapes] == [kind]


def test_a_choice_made_for_a_box_leaves_the_box() -> None:
    choice = other("choices", {**draw()["value"], "choices": ["parked"]}, from_name="state")
    assert read(draw(), choice) == ([CAR], ["region 'r1': 'choices' is no shape"])


def test_the_same_region_twice_counts_once() -> None:
    assert read(draw(), draw()) == ([CAR], ["region 'r1': it is there twice"])


def test_different_regions_by_one_id_both_count() -> None:
    shapes, problems = read(draw(), draw(["bus"]))
    assert [shape.label for shape in shapes] == ["car", "bus"]
    assert problems == ["region 'r1': two have its id, both are kept"]


def test_equal_regions_without_an_id_both_count() -> None:
    nameless = {**draw(), "id": None}
    assert read(nameless, nameless) == ([CAR, CAR], [])


def test_good_regions_survive_bad_ones() -> None:
    shapes, problems = read({"foo": 1}, draw(), draw(id="r2", value={"width": 0}))
    assert shapes == [CAR]
    assert problems == [
        "region number 1: it has no type",
        "region 'r2': it is thinner than a pixel",
    ]


def test_no_more_problems_are_listed_than_a_person_reads() -> None:
    _, problems = read(*[{"foo": 1}] * 1000)
    assert len(problems) == MAX_PROBLEMS + 1
    assert problems[-1] == "and 950 problems more"


def test_what_was_said_is_not_said_again() -> None:
    problems = Problems()
    for _ in range(2):
        for number in range(MAX_PROBLEMS):
            problems.add(f"problem {number}")
    assert len(problems.listed()) == MAX_PROBLEMS
