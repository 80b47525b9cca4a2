"""What stands along the kerbs: trees, street lamps and traffic lights."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from services.simulation.canvas import Canvas
from services.simulation.geometry import HEIGHT_PX, WIDTH_PX, Camera, Colour, Point
from services.simulation.scene import CROSSING_M
from services.simulation.shapes import shade

LAMP_M = 7.2  # height
STEEL: Colour = (58, 62, 62)


def place_lamps(camera: Camera) -> tuple[Point, ...]:
    """The heads of the street lamps, from the nearest, on one side and the other in turn."""
    x_m = camera.kerb_m - 0.9
    return tuple(((-1 if n % 2 else 1) * x_m, LAMP_M, 15.0 + 13 * n) for n in range(10))


def draw_furniture(canvas: Canvas) -> None:
    """Trees, lamps and lights, the farthest first."""
    camera = canvas.camera
    rng = np.random.default_rng([camera.seed, camera.number, 9])
    sides = [side for side in (-1, 1) if rng.random() < 0.7]
    trees = [
        (side * (camera.kerb_m + 0.72 * camera.pavement_m), 0.0, z_m + float(rng.uniform(-1, 1)))
        for z_m in np.arange(22, 110, 11.0)
        for side in sides
    ]
    _shade_feet(canvas, trees)
    lamps = place_lamps(camera)
    for place in sorted((*trees, *lamps), key=lambda place: -place[2]):
        if place[1]:
            _draw_lamp(canvas, place)
        else:
            _draw_tree(canvas, place, rng)
    for side, z_m in ((1, CROSSING_M - 3.2), (-1, CROSSING_M + 3.2)):
        _draw_light(canvas, (side * (camera.kerb_m + 0.4), 0.0, z_m), facing=side < 0)


def _shade_feet(canvas: Canvas, feet: list[Point]) -> None:
    """A soft shadow on the ground under each crown."""
    camera = canvas.camera
    mask = Image.new("L", (WIDTH_PX, HEIGHT_PX))
    pen = ImageDraw.Draw(mask)
    for foot in feet:
        ring = [
            (foot[0] + 1.9 * math.cos(turn), 0.0, foot[2] + 1.9 * math.sin(turn))
            for turn in (math.tau * corner / 24 for corner in range(24))
        ]
        pen.polygon([camera.project(point) for point in ring], fill=100)
    soft = mask.filter(ImageFilter.BoxBlur(4)).resize(canvas.day.size)
    canvas.day.paste((20, 24, 28), (0, 0), soft)


def _draw_lamp(canvas: Canvas, head: Point) -> None:
    side = 1 if head[0] > 0 else -1
    foot = (head[0] + side * 1.3, 0.0, head[2])
    bend = (foot[0], head[1] - 0.2, head[2])
    canvas.rod(foot, bend, 0.08, STEEL)
    canvas.rod(bend, head, 0.05, STEEL)
    canvas.rod(foot, (foot[0], 0.7, foot[2]), 0.13, STEEL)
    scale = canvas.camera.pixels_per_m(foot[0], foot[2])
    x, y = canvas.camera.project(head)
    outline = [(x - 0.4 * scale, y), (x + 0.4 * scale, y), (x + 0.3 * scale, y + 0.16 * scale)]
    outline.append((x - 0.3 * scale, y + 0.16 * scale))
    canvas.fill(outline, (196, 198, 190), (255, 226, 168))


def _draw_tree(canvas: Canvas, foot: Point, rng: np.random.Generator) -> None:
    camera = canvas.camera
    scale = camera.pixels_per_m(foot[0], foot[2])
    height = float(rng.uniform(6.5, 8.5))
    crown = (foot[0], height * 0.72, foot[2])
    canvas.rod(foot, crown, 0.16, (88, 76, 64))
    x, y = camera.project(crown)
    leaf: Colour = (82, 112, 58)
    haze = 1 + min(0.35, foot[2] / 250)
    for layer, (spread, tone) in enumerate(((1.0, 0.55), (0.9, 0.78), (0.75, 1.0), (0.5, 1.22))):
        count = 26 - 3 * layer
        angles, reach = rng.uniform(0, 2 * np.pi, count), np.sqrt(rng.random(count)) * spread
        lift = -0.22 * layer
        for angle, far in zip(angles, reach, strict=True):
            centre = (
                x + 1.5 * scale * far * float(np.cos(angle)),
                y + scale * (lift + 1.7 * far * float(np.sin(angle))),
            )
            size = scale * float(rng.uniform(0.22, 0.5)) * (1.15 - 0.15 * layer)
            canvas.disc(centre, size, shade(leaf, tone * haze * float(rng.uniform(0.85, 1.1))))


def _draw_light(canvas: Canvas, foot: Point, *, facing: bool) -> None:
    """A traffic light; one that faces the other way shows its back."""
    canvas.rod(foot, (foot[0], 2.9, foot[2]), 0.06, STEEL)
    scale = canvas.camera.pixels_per_m(foot[0], foot[2])
    x, y = canvas.camera.project((foot[0], 3.0, foot[2]))
    half = 0.17 * scale
    canvas.fill(
        [(x - half, y - scale), (x + half, y - scale), (x + half, y), (x - half, y)], (26, 28, 28)
    )
    if facing:
        return
    lenses: tuple[tuple[Colour, bool], ...] = (
        ((70, 20, 18), False),
        ((70, 54, 16), False),
        ((70, 230, 140), True),
    )
    for row, (colour, lit) in enumerate(lenses):
        centre = (x, y - scale * (0.83 - 0.33 * row))
        canvas.disc(centre, 0.12 * scale, colour, colour if lit else (0, 0, 0))
