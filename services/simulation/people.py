"""People, cyclists and motorcyclists as flat figures that face the camera."""

from __future__ import annotations

import itertools
import math

from services.simulation.geometry import Camera, Colour, Pixel
from services.simulation.scene import Item
from services.simulation.shapes import Shape, capsule, ellipse, shade

SKINS: tuple[Colour, ...] = ((232, 190, 160), (206, 156, 122), (150, 104, 76), (96, 66, 50))
HAIRS: tuple[Colour, ...] = ((40, 30, 26), (92, 64, 40), (180, 140, 84), (150, 148, 146))
TROUSERS: tuple[Colour, ...] = ((36, 42, 62), (58, 56, 54), (88, 82, 72), (26, 26, 28))
RUBBER: Colour = (26, 26, 28)


class _Figure:
    """Draws in metres around the point where the figure stands: right and up."""

    def __init__(self, camera: Camera, item: Item) -> None:
        self.foot = camera.project((item.x_m, 0.0, item.z_m))
        self.scale = camera.pixels_per_m(item.x_m, item.z_m)
        self.shapes: list[Shape] = []

    def _pixel(self, at: Pixel) -> Pixel:
        return self.foot[0] + at[0] * self.scale, self.foot[1] - at[1] * self.scale

    def limb(self, path: tuple[Pixel, ...], radius: float, colour: Colour, label: str) -> None:
        for start, end in itertools.pairwise(path):
            size = radius * self.scale
            outline = capsule(self._pixel(start), self._pixel(end), size, size * 0.88)
            self.shapes.append(Shape(outline, colour, label))

    def oval(self, centre: Pixel, radii: Pixel, colour: Colour, label: str) -> None:
        size = (radii[0] * self.scale, radii[1] * self.scale)
        self.shapes.append(Shape(ellipse(self._pixel(centre), size), colour, label))


def draw_person(camera: Camera, item: Item) -> list[Shape]:
    """Somebody who walks: legs apart by where they are in their stride."""
    figure = _Figure(camera, item)
    stride = math.sin(item.z_m * 2.1 + item.x_m * 3.7 + item.style)
    reach = (0.28 if item.heading == 0 else 0.1) * stride
    trousers = TROUSERS[item.style % len(TROUSERS)]
    for side in (-1, 1):
        knee = (side * 0.07 + side * reach * 0.6, 0.47)
        ankle = (side * 0.08 + side * reach, 0.08 + 0.06 * max(0.0, side * stride))
        figure.limb(((side * 0.08, 0.88), knee, ankle), 0.075, shade(trousers, 1.1), "person")
        figure.oval((ankle[0] + 0.02, ankle[1] - 0.03), (0.09, 0.045), (30, 28, 28), "person")
    _draw_torso(figure, item, hip=0.9, shoulder=1.42, swing=reach)
    return figure.shapes


def draw_rider(camera: Camera, item: Item) -> list[Shape]:
    """A bicycle or motorcycle seen along the street, with the person on it."""
    figure, machine = _Figure(camera, item), item.label
    heavy = machine == "motorcycle"
    wheel = 0.11 if heavy else 0.035
    figure.oval((0, 0.34), (wheel, 0.34), RUBBER, machine)
    figure.oval((0, 0.34), (wheel * 0.4, 0.22), (90, 90, 92), machine)
    if heavy:
        figure.oval((0, 0.72), (0.24, 0.3), shade(item.colour, 0.9), machine)
        figure.limb(((-0.38, 1.02), (0.38, 1.02)), 0.03, RUBBER, machine)
        lamp: Colour = (244, 246, 230) if item.heading < 0 else (180, 24, 24)
        figure.oval((0, 0.78), (0.1, 0.07), lamp, machine)
    else:
        figure.limb(((0, 0.5), (0, 0.92)), 0.025, (150, 40, 40), machine)
        figure.limb(((-0.28, 1.0), (0.28, 1.0)), 0.02, RUBBER, machine)
    turn = math.sin(item.z_m * 1.3 + item.style) if not heavy else 0.0
    trousers = TROUSERS[item.style % len(TROUSERS)]
    for side in (-1, 1):
        foot = (side * 0.16, 0.3 + 0.14 * side * turn)
        knee = (side * (0.3 if heavy else 0.2), 0.66 + 0.1 * side * turn)
        figure.limb(((side * 0.1, 0.95), knee, foot), 0.075, trousers, "person")
        figure.oval((foot[0], foot[1] - 0.04), (0.06, 0.05), (30, 28, 28), "person")
    _draw_torso(figure, item, hip=0.95, shoulder=1.42, swing=0.0)
    helmet: Colour = (36, 38, 44) if heavy or item.style % 2 else (210, 214, 220)
    figure.oval((0, 1.7), (0.13, 0.1), helmet, "person")
    return figure.shapes


def _draw_torso(figure: _Figure, item: Item, *, hip: float, shoulder: float, swing: float) -> None:
    coat, skin = item.colour, SKINS[(item.style + 1) % len(SKINS)]
    riding = item.label != "person"
    for side in (-1, 1):
        elbow = (side * (0.34 if riding else 0.28), 1.14)
        hand = (side * 0.28, 1.03) if riding else (side * 0.26 - side * swing, 0.86)
        figure.limb(
            ((side * 0.2, shoulder - 0.04), elbow, hand), 0.055, shade(coat, 0.82), "person"
        )
        figure.oval(hand, (0.05, 0.055), skin, "person")
    figure.limb(((0, hip), (0, shoulder - 0.16)), 0.19, coat, "person")
    figure.limb(((-0.12, shoulder - 0.07), (0.12, shoulder - 0.07)), 0.11, coat, "person")
    figure.limb(((0.1, hip), (0.12, shoulder - 0.2)), 0.08, shade(coat, 0.88), "person")
    figure.limb(((0, shoulder), (0, shoulder + 0.1)), 0.06, skin, "person")
    figure.oval((0, shoulder + 0.2), (0.105, 0.135), skin, "person")
    hair = HAIRS[item.style % len(HAIRS)]
    if item.heading > 0:  # seen from behind
        figure.oval((0, shoulder + 0.23), (0.115, 0.125), hair, "person")
        return
    figure.oval((0, shoulder + 0.31), (0.115, 0.065), hair, "person")
    for side in (-1, 1):
        figure.oval((side * 0.042, shoulder + 0.225), (0.02, 0.012), (40, 34, 32), "person")
    figure.oval((0, shoulder + 0.175), (0.014, 0.03), shade(skin, 0.86), "person")
    figure.oval((0, shoulder + 0.13), (0.04, 0.011), (150, 80, 74), "person")
