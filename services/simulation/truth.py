"""The ground truth of a scene: what can be seen in its picture, and where. For tests alone."""

from __future__ import annotations

from dataclasses import dataclass

from services.simulation.drawing import draw_shapes
from services.simulation.geometry import HEIGHT_PX, WIDTH_PX
from services.simulation.scene import Scene
from services.simulation.shapes import Box, Shape, bound

LEAST_SEEN = 0.3  # share of a box that must be in the picture and not behind one nearer thing
LEAST_PX = 6.0


@dataclass(frozen=True)
class SeenObject:
    """One object: COCO's label and its box in pixels, clipped to the picture."""

    label: str
    box: Box


@dataclass(frozen=True)
class Truth:
    """What a drawn frame shows, the nearest object first."""

    frame: int
    daylight: bool
    objects: tuple[SeenObject, ...]


def find_objects(scene: Scene) -> tuple[SeenObject, ...]:
    """Every object of which enough is in the picture; a rider and the machine are two."""
    seen: list[SeenObject] = []
    for item in sorted(scene.objects, key=lambda item: item.z_m):
        shapes = draw_shapes(scene.camera, item)
        found = [_see(label, shapes) for label in sorted({shape.label for shape in shapes})]
        # Both parts of a rider are compared with what is nearer, not with each other.
        nearer = tuple(other.box for other in seen)
        seen += [one for one in found if one and not _is_hidden(one.box, nearer)]
    return tuple(seen)


def _see(label: str, shapes: list[Shape]) -> SeenObject | None:
    box = bound(shape for shape in shapes if shape.label == label)
    left, top = max(0.0, box[0]), max(0.0, box[1])
    right, bottom = min(float(WIDTH_PX), box[2]), min(float(HEIGHT_PX), box[3])
    width, height = right - left, bottom - top
    if width <= 0 or height < LEAST_PX or width * height < LEAST_SEEN * _area(box):
        return None
    return SeenObject(label, (left, top, right, bottom))


def _is_hidden(box: Box, nearer: tuple[Box, ...]) -> bool:
    return any(_overlap(box, other) > (1 - LEAST_SEEN) * _area(box) for other in nearer)


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _overlap(a: Box, b: Box) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    return max(0.0, width) * max(0.0, height)
