"""The lines of a YOLO label file as Label Studio writes it, made into lines that one can train on.

Label Studio writes boxes unclipped, and polygons among boxes; a trainer drops the whole image for
the first, and misreads the second.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from services.labeling.sets.formats.yolo_lines import BadLine, Line, read_line

LEAST_SIDE = 1e-6


@dataclass(frozen=True)
class CleanLabels:
    """`text` has one line per object. `problems` name the lines that were changed or left out."""

    text: str
    objects: int
    problems: tuple[str, ...]


def clean_labels(data: bytes, class_ids: Collection[int] | None) -> CleanLabels:
    """Lines are left out that are no box and no polygon, or of a class that isn't in `class_ids`;
    what lies outside of the image is clipped; a polygon among boxes becomes the box around it."""
    problems: list[str] = []
    lines = _read(data, class_ids, problems)
    is_mixed = len({line.is_box for line in lines.values()}) > 1
    written = []
    for number, line in lines.items():
        values: Sequence[float] = line.numbers
        if is_mixed and not line.is_box:
            problems.append(f"line {number}: a polygon among boxes, made the box around it")
            values = _box_around(values)
        clipped = _clip_box(values) if len(values) == 4 else _clip_polygon(values)
        if clipped is None:
            problems.append(f"line {number}: nothing of it lies within the image")
            continue
        if max(abs(a - b) for a, b in zip(values, clipped, strict=True)) > LEAST_SIDE:
            problems.append(f"line {number}: clipped to the image")
            values = clipped
        written.append(" ".join([str(line.class_id), *(f"{value:.10g}" for value in values)]))
    return CleanLabels("".join(f"{line}\n" for line in written), len(written), tuple(problems))


def _read(data: bytes, class_ids: Collection[int] | None, problems: list[str]) -> dict[int, Line]:
    """By their numbers in the file."""
    lines = {}
    for number, text in enumerate(data.decode("utf-8-sig", errors="replace").splitlines(), 1):
        if not text.strip():
            continue
        try:
            line = read_line(text)
        except BadLine as error:
            problems.append(f"line {number}: {error}")
            continue
        if class_ids is not None and line.class_id not in class_ids:
            problems.append(f"line {number}: no class has the id {line.class_id}")
        else:
            lines[number] = line
    return lines


def _clip_polygon(values: Sequence[float]) -> Sequence[float] | None:
    """Its points moved to the image's edge; None if nothing is left."""
    inside = [min(max(value, 0.0), 1.0) for value in values]
    box = _box_around(inside)
    return inside if min(box[2:]) > LEAST_SIDE else None


def _clip_box(values: Sequence[float]) -> Sequence[float] | None:
    """Its part within the image; None if nothing is left."""
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
