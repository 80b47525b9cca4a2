"""Cars, buses and trucks as small solids, seen in perspective and shaded by the sun."""

from __future__ import annotations

import math
from dataclasses import dataclass

from services.simulation.geometry import Camera, Colour, Point
from services.simulation.scene import Item
from services.simulation.shapes import Shape, shade

GLASS: Colour = (52, 66, 78)
RUBBER: Colour = (24, 24, 26)
RIM: Colour = (150, 152, 156)
Outline = tuple[tuple[float, float], ...]  # (along, up) in metres, front is positive


@dataclass(frozen=True)
class Solid:
    """A side view given a width; `ends` are the edges of glass, by their place in the outline."""

    outline: Outline
    half_width_m: float
    top_m: float = 0.0  # how much narrower it is at its top, each side
    glass: tuple[int, ...] = ()
    windows: tuple[Outline, ...] = ()
    colour: Colour | None = None
    layer: int = 0


@dataclass(frozen=True)
class Build:
    """A kind of vehicle: its solids, its axles and where its lamps are."""

    length_m: float
    width_m: float
    solids: tuple[Solid, ...]
    axles: tuple[float, ...]
    wheel_m: float
    lamp_m: float  # height


def _rectangle(back: float, front: float, bottom: float, top: float) -> Outline:
    return (back, bottom), (back, top), (front, top), (front, bottom)


def _car(roof: float, tail: float) -> Build:
    body: Outline = (
        *((-2.08, 0.28), (-2.18, 0.55), (-2.1, 0.92)),
        *((0.95, 0.98), (1.95, 0.8), (2.16, 0.6), (2.1, 0.28)),
    )
    cabin: Outline = ((tail, 0.94), (tail + 0.42, roof), (0.15, roof + 0.02), (1.15, 0.96))
    windows = (
        ((tail + 0.25, 1.0), (tail + 0.52, roof - 0.09), (-0.5, roof - 0.08), (-0.5, 1.0)),
        ((-0.4, 1.0), (-0.4, roof - 0.08), (0.1, roof - 0.08), (0.85, 1.0)),
    )
    solids = (
        Solid(body, 0.9, 0.04),
        Solid(cabin, 0.84, 0.16, glass=(0, 2), windows=windows, layer=1),
    )
    return Build(4.3, 1.8, solids, (-1.32, 1.32), 0.33, 0.74)


def _bus() -> Build:
    windows = tuple(_rectangle(-5.6 + n * 1.42, -4.4 + n * 1.42, 1.35, 2.55) for n in range(8))
    hull = Solid(
        _rectangle(-6.0, 6.0, 0.85, 3.0), 1.27, 0.05, glass=(0, 2), windows=windows, layer=1
    )
    skirt = Solid(_rectangle(-6.02, 6.02, 0.28, 0.85), 1.28, colour=(196, 30, 36))
    return Build(12.0, 2.55, (hull, skirt), (-3.4, 3.4), 0.48, 0.7)


def _truck() -> Build:
    box = Solid(_rectangle(-3.7, 1.5, 0.85, 3.2), 1.2, layer=1)
    door = ((2.2, 1.55), (2.2, 2.3), (3.1, 2.3), (3.3, 1.55))
    cab_outline: Outline = ((1.7, 0.5), (1.7, 2.6), (3.2, 2.6), (3.6, 1.4), (3.65, 0.4))
    cab = Solid(cab_outline, 1.1, 0.08, glass=(2,), windows=(door,), layer=1)
    frame = Solid(_rectangle(-3.7, 3.5, 0.45, 0.85), 0.95, colour=(48, 48, 50))
    return Build(7.3, 2.4, (frame, box, cab), (-2.3, 2.6), 0.45, 0.75)


BUILDS: dict[str, tuple[Build, ...]] = {
    "car": (_car(1.45, -2.0), _car(1.42, -1.6), _car(1.66, -2.1)),
    "bus": (_bus(),),
    "truck": (_truck(),),
}


def build_of(item: Item) -> Build:
    builds = BUILDS[item.label]
    return builds[item.style % len(builds)]


def place(item: Item, across: float, up: float, along: float) -> Point:
    """A vehicle's own coordinates (right, up, forwards) in the street's."""
    return item.x_m + item.heading * across, up, item.z_m + item.heading * along


class _Sculptor:
    """Collects the visible faces of one vehicle."""

    def __init__(self, camera: Camera, item: Item) -> None:
        self.camera, self.item = camera, item
        self.shapes: list[Shape] = []

    def add(self, points: list[Point], colour: Colour) -> None:
        pixels = tuple(self.camera.project(place(self.item, *point)) for point in points)
        self.shapes.append(Shape(pixels, colour, self.item.label))

    def light(self, normal: Point, at: Point) -> float | None:
        """The brightness of a face with this normal; None where it faces away."""
        turn, camera = self.item.heading, self.camera
        facing = (turn * normal[0], normal[1], turn * normal[2])
        x, y, z = place(self.item, *at)
        view = (x - camera.x_m, y - camera.height_m, z)
        if sum(a * b for a, b in zip(facing, view, strict=True)) >= 0:
            return None
        sun = max(0.0, sum(a * b for a, b in zip(facing, camera.sun, strict=True)))
        return 0.6 + 0.16 * normal[1] + (0.42 if camera.sunny else 0.2) * sun


def draw_vehicle(camera: Camera, item: Item) -> list[Shape]:
    """The visible faces of a car, bus or truck, back to front."""
    build, sculptor = build_of(item), _Sculptor(camera, item)
    half, reach = build.width_m / 2 - 0.08, build.length_m / 2 - 0.1
    under = [(-half, 0.05, -reach), (half, 0.05, -reach), (half, 0.05, reach), (-half, 0.05, reach)]
    sculptor.add(under, (18, 18, 20))
    for axle in build.axles:
        for side in (-1, 1):
            _add_tyre_tread(sculptor, build, axle, side)
    for solid in sorted(build.solids, key=lambda solid: (solid.layer, -_distance(item, solid))):
        _add_solid(sculptor, solid)
    for side in (-1, 1):
        _add_wheels(sculptor, build, side)
    _add_ends(sculptor, build)
    return sculptor.shapes


def _distance(item: Item, solid: Solid) -> float:
    middle = sum(along for along, _ in solid.outline) / len(solid.outline)
    return item.z_m + item.heading * middle


def _add_solid(sculptor: _Sculptor, solid: Solid) -> None:
    paint = solid.colour or sculptor.item.colour
    low, high = min(y for _, y in solid.outline), max(y for _, y in solid.outline)
    reach = max(abs(s) for s, _ in solid.outline)

    def half(along: float, up: float) -> float:
        """Narrower towards the top, and a little at the ends."""
        end = max(0.0, abs(along) / reach - 0.8) * 0.5 if solid.half_width_m < 1 else 0.0
        return (solid.half_width_m - solid.top_m * (up - low) / (high - low)) * (1 - end)

    for side in (-1, 1):
        light = sculptor.light((side, 0.1, 0), (side * solid.half_width_m, high, 0))
        if light is None:
            continue
        for outline, colour in ((solid.outline, paint), *((pane, GLASS) for pane in solid.windows)):
            points = [(side * half(along, up), up, along) for along, up in outline]
            sculptor.add(points, shade(colour, light))
            if outline is solid.outline and solid.layer == 0:
                sill = [(x, min(up, low + 0.45 * (high - low)), along) for x, up, along in points]
                sculptor.add(sill, shade(colour, light * 0.86))
    for edge, (start, end) in enumerate(
        zip(solid.outline, (*solid.outline[1:], solid.outline[0]), strict=True)
    ):
        along, up = end[0] - start[0], end[1] - start[1]
        length = math.hypot(along, up)
        light = sculptor.light((0, along / length, -up / length), (0, start[1], start[0]))
        if light is None:
            continue
        quad = [(side * half(*at), at[1], at[0]) for side, at in _corners(start, end)]
        sculptor.add(quad, shade(paint, light))
        if edge in solid.glass:
            pane = _inset(quad)
            sculptor.add(pane, shade(GLASS, light * 1.1))
            sculptor.add([*pane[1:3], pane[3]], shade(GLASS, light * 1.45))


def _corners(
    start: tuple[float, float], end: tuple[float, float]
) -> tuple[tuple[int, tuple[float, float]], ...]:
    return (-1, start), (-1, end), (1, end), (1, start)


def _inset(quad: list[Point]) -> list[Point]:
    """The pane within a face; in a tall face (a bus's) its upper half."""
    tall = max(p[1] for p in quad) - min(p[1] for p in quad) > 1.5
    bottom = 1.3 if tall else min(p[1] for p in quad)
    x, y, z = (sum(p[n] for p in quad) / 4 for n in range(3))
    pane = [(x + (p[0] - x) * 0.86, y + (p[1] - y) * 0.84, z + (p[2] - z) * 0.9) for p in quad]
    return [(p[0], max(p[1], bottom), p[2]) for p in pane]


def _add_tyre_tread(sculptor: _Sculptor, build: Build, axle: float, side: int) -> None:
    outer, inner = side * (build.width_m / 2 - 0.03), side * (build.width_m / 2 - 0.25)
    back, front = axle - build.wheel_m * 0.9, axle + build.wheel_m * 0.9
    for along in (back, front):
        tread = [(outer, 0.0, along), (inner, 0.0, along), (inner, 0.5, along), (outer, 0.5, along)]
        sculptor.add(tread, RUBBER)


def _add_wheels(sculptor: _Sculptor, build: Build, side: int) -> None:
    across = side * (build.width_m / 2 + 0.005)
    light = sculptor.light((side, 0, 0), (across, 0.3, 0))
    if light is None:
        return
    for axle in build.axles:
        for share, colour in ((1.18, (20, 20, 22)), (1.0, (36, 36, 38)), (0.6, RIM)):
            radius = build.wheel_m * share
            turns = [math.tau * corner / 16 for corner in range(16)]
            ring = [
                (
                    across,
                    max(0.0, build.wheel_m + radius * math.sin(t)),
                    axle + radius * math.cos(t),
                )
                for t in turns
            ]
            sculptor.add(ring, shade(colour, light))


def _add_ends(sculptor: _Sculptor, build: Build) -> None:
    """Lamps, number plate and bumper of the end that is seen."""
    for end in (-1, 1):
        at = end * (build.length_m / 2 + 0.04)
        if sculptor.light((0, 0, end), (0, build.lamp_m, at)) is None:
            continue
        lamp, wide = build.lamp_m, build.width_m / 2
        colour = (244, 246, 236) if end == 1 else (190, 22, 24)
        bands = [
            (-0.8 * wide, 0.8 * wide, lamp - 0.42, lamp - 0.3, (34, 34, 36)),
            (-0.28, 0.28, lamp - 0.26, lamp - 0.12, (236, 236, 226)),
            (-0.9 * wide, -0.55 * wide, lamp - 0.08, lamp + 0.1, colour),
            (0.55 * wide, 0.9 * wide, lamp - 0.08, lamp + 0.1, colour),
        ]
        if end == 1 and build.length_m > 10:  # where a bus goes
            bands.append((-0.6 * wide, 0.6 * wide, 2.55, 2.85, (240, 160, 50)))
        if end == 1:
            bands.append((-0.45 * wide, 0.45 * wide, lamp - 0.06, lamp + 0.08, (30, 30, 32)))
        for left, right, low, high, paint in bands:
            sculptor.add(
                [(left, low, at), (right, low, at), (right, high, at), (left, high, at)], paint
            )
