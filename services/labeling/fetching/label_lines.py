"""The lines of a YOLO label file as Label Studio writes it, made into lines that one can train on.

Label Studio writes boxes unclipped, and polygons among boxes; a trainer drops the whole image for
the first, and misreads the second.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

BOX_NUMBERS, FEWEST_POINT_NUMBERS = 4, 6
LEAST_SIDE = 1e-6


@dataclass(frozen=True)
class CleanLabels:
    """`text` has one line per object. `problems` name the lines that were changed or left out."""

    text: str
    objects: int
    problems: tuple[str, ...]


@dataclass(frozen=True)
class _Line:
    number: int
    class_id: int
    values: Sequence[float]  # of a box: centre, width, height; else points


def clean_labels(data: bytes, class_ids: Collection[int] | None) -> CleanLabels:
    """Lines are left out that are no box and no polygon, or of a class that isn't in `class_ids`;
    what lies outside of the image is clipped; a polygon among boxes becomes the box around it."""
    problems: list[str] = []
    lines = _read(data, class_ids, problems)
    boxes = [line for line in lines if len(line.values) == BOX_NUMBERS]
    written = []
    for line in lines:
        values = line.values
        if boxes and len(boxes) < len(lines) and len(values) != BOX_NUMBERS:
            problems.append(f"line {line.number}: a polygon among boxes, made the box around it")
            values = _box_around(values)
        clipped = _clip(values)
        if clipped is None:
            problems.append(f"line {line.number}: nothing of it lies within the image")
            continue
        if max(abs(a - b) for a, b in zip(values, clipped, strict=True)) > LEAST_SIDE:
            problems.append(f"line {line.number}: clipped to the image")
            values = clipped
        written.append(" ".join([str(line.class_id), *(f"{value:.10g}" for value in values)]))
    return CleanLabels("".join(f"{line}\n" for line in written), len(written), tuple(problems))


def _read(data: bytes, class_ids: Collection[int] | None, problems: list[str]) -> list[_Line]:
    lines = []
    for number, text in enumerate(data.decode(errors="replace").splitlines(), 1):
        words = text.removeprefix("\ufeff").split()
        if not words:
            continue
        line = _parse(number, words)
        if line is None:
            problems.append(f"line {number}: neither a box nor a polygon")
        elif class_ids is not None and line.class_id not in class_ids:
            problems.append(f"line {number}: no class has the id {line.class_id}")
        else:
            lines.append(line)
    return lines


def _parse(number: int, words: Sequence[str]) -> _Line | None:
    try:
        class_id, values = int(words[0]), [float(word) for word in words[1:]]
    except ValueError:
        return None
    count = len(values)
    if class_id < 0 or not all(math.isfinite(value) for value in values):
        return None
    if count == BOX_NUMBERS:
        return _Line(number, class_id, values) if min(values[2:]) >= 0 else None
    if count < FEWEST_POINT_NUMBERS or count % 2:
        return None
    return _Line(number, class_id, values)


def _clip(values: Sequence[float]) -> Sequence[float] | None:
    """A box's part within the image; a polygon's points moved to its edge. None if none is left."""
    if len(values) != BOX_NUMBERS:
        inside = [min(max(value, 0.0), 1.0) for value in values]
        box = _box_around(inside)
        return inside if min(box[2:]) > LEAST_SIDE else None
    x, y, width, height = values
    left, right = max(x - width / 2, 0.0), min(x + width / 2, 1.0)
    top, bottom = max(y - height / 2, 0.0), min(y + height / 2, 1.0)
    if right - left <= LEAST_SIDE or bottom - top <= LEAST_SIDE:
        return None
    return (left + right) / 2, (top + bottom) / 2, right - left, bottom - top


def _box_around(points: Sequence[float]) -> Sequence[float]:
    across, down = points[0::2], points[1::2]
    left, right, top, bottom = min(across), max(across), min(down), max(down)
    return (left + right) / 2, (top + bottom) / 2, right - left, bottom - top
