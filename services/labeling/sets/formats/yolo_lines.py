"""One line of a YOLO label file: a box, a polygon, or the corners of a rotated box."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from pipeline.annotations import Point, Shape, ShapeKind

MAX_LINE_CHARS = 200_000
_MAX_CLASS_ID = 1_000_000
_RIGHT_ANGLE = 0.05  # how far from square a corner may be, as a cosine


class BadLine(ValueError):
    """A line that says nothing one could use."""


@dataclass(frozen=True)
class Line:
    """`numbers` as written, in fractions of the image: of a box its middle, width and height; of
    anything else the coordinates of three points or more."""

    class_id: int
    numbers: tuple[float, ...]
    score: float | None = None

    @property
    def is_box(self) -> bool:
        return len(self.numbers) == 4


def read_line(line: str) -> Line:
    """Five columns are a box, six a box with a score; otherwise pairs of coordinates, with a score
    when one is left over. Seven columns are a polygon of three points, as trainers read it.

    BadLine for anything else.
    """
    if len(line) > MAX_LINE_CHARS:
        raise BadLine("too long")
    words = line.split()
    class_id = _read_class(words[0])
    numbers = tuple(_read_number(word) for word in words[1:])
    if len(numbers) < 4:
        raise BadLine(f"{len(words)} columns: a box has five")
    score = None
    if len(numbers) % 2:
        numbers, score = numbers[:-1], numbers[-1]
    if len(numbers) == 4 and min(numbers[2:]) <= 0:
        raise BadLine(f"its size is {numbers[2]:g} by {numbers[3]:g}")
    return Line(class_id, numbers, score)


def parse_line(
    line: str, classes: Mapping[int, str], *, rotated: bool
) -> tuple[Shape, float | None]:
    """The shape in fractions of the image, and the score where the line ends with one."""
    read = read_line(line)
    if read.class_id not in classes:
        raise BadLine(f"no class has the id {read.class_id}")
    label, numbers = classes[read.class_id], read.numbers
    if read.is_box:
        return _make_box(label, numbers), read.score
    points = list(zip(numbers[::2], numbers[1::2], strict=True))
    return _make_outline(label, points, rotated), read.score


def _read_class(word: str) -> int:
    """Whole numbers, as `1` or as `1.0`, which some programs write."""
    try:
        number = Decimal(word)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or not 0 <= number <= _MAX_CLASS_ID or number % 1:
        raise BadLine(f"{word[:20]!r} is no class id")
    return int(number)


def _read_number(word: str) -> float:
    try:
        number = float(word)
    except ValueError:
        raise BadLine(f"{word[:20]!r} is no number") from None
    if not math.isfinite(number):
        raise BadLine(f"{word[:20]!r} is no finite number")
    return number


def _make_box(label: str, numbers: Sequence[float]) -> Shape:
    x, y, width, height = numbers
    first, last = (x - width / 2, y - height / 2), (x + width / 2, y + height / 2)
    _check_inside((first, last))
    return Shape(label=label, kind=ShapeKind.BOX, points=(first, last))


def _make_outline(label: str, points: Sequence[Point], rotated: bool) -> Shape:
    _check_inside(points)
    if rotated and len(points) != 4:
        raise BadLine(f"{len(points)} corners: a rotated box has four")
    kind = ShapeKind.ROTATED_BOX if rotated else ShapeKind.POLYGON
    return Shape(label=label, kind=kind, points=tuple(points))


def _check_inside(points: Sequence[Point]) -> None:
    """Something of it has to lie in the image; numbers in pixels never do."""
    across, down = zip(*points, strict=True)
    if min(across) >= 1 or max(across) <= 0 or min(down) >= 1 or max(down) <= 0:
        raise BadLine("it lies outside the image: are these fractions of the image?")


def is_rectangle(points: Sequence[Point]) -> bool:
    """Whether four corners, in pixels, are those of a box that was turned."""
    for n in range(4):
        (ax, ay), (bx, by), (cx, cy) = (points[(n + k) % 4] for k in range(3))
        one, other = (ax - bx, ay - by), (cx - bx, cy - by)
        lengths = math.hypot(*one) * math.hypot(*other)
        if not lengths or abs(one[0] * other[0] + one[1] * other[1]) / lengths > _RIGHT_ANGLE:
            return False
    return True
