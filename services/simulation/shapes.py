"""Filled polygons in picture coordinates, the only thing that figures are drawn with."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from services.simulation.geometry import Colour, Pixel

Box = tuple[float, float, float, float]  # x1, y1, x2, y2 in pixels


@dataclass(frozen=True)
class Shape:
    """A polygon in pixels; `label` says whose box it belongs to."""

    points: tuple[Pixel, ...]
    colour: Colour
    label: str


def shade(colour: Colour, factor: float) -> Colour:
    """`colour` times `factor`, within 0 to 255."""
    red, green, blue = (max(0, min(255, round(band * factor))) for band in colour)
    return red, green, blue


def ellipse(centre: Pixel, radii: Pixel, corners: int = 20) -> tuple[Pixel, ...]:
    """The outline of an upright ellipse."""
    angles = [2 * math.pi * corner / corners for corner in range(corners)]
    return tuple(
        (centre[0] + radii[0] * math.cos(angle), centre[1] + radii[1] * math.sin(angle))
        for angle in angles
    )


def capsule(start: Pixel, end: Pixel, radius: float, end_radius: float) -> tuple[Pixel, ...]:
    """A limb: round at both ends, tapering from `radius` to `end_radius`."""
    along = math.atan2(end[1] - start[1], end[0] - start[0])
    outline = []
    for centre, size, turn in ((start, radius, math.pi / 2), (end, end_radius, -math.pi / 2)):
        for step in range(7):
            angle = along + turn + math.pi * step / 6
            outline.append((centre[0] + size * math.cos(angle), centre[1] + size * math.sin(angle)))
    return tuple(outline)


def bound(shapes: Iterable[Shape]) -> Box:
    """The box around some shapes (at least one)."""
    points = [point for shape in shapes for point in shape.points]
    xs, ys = [point[0] for point in points], [point[1] for point in points]
    return min(xs), min(ys), max(xs), max(ys)
