"""Light added to a picture: lamps, headlights and their pools on the road."""

from __future__ import annotations

import functools

import numpy as np
from PIL import Image, ImageChops

from services.simulation.geometry import Camera, Colour, Pixel
from services.simulation.scene import Item
from services.simulation.vehicles import BUILDS, build_of, place

# Ahead of the vehicle, half width and half length of a pool of light, in metres; its colour.
BEAMS: tuple[tuple[float, float, float, Colour], ...] = (
    (3.0, 2.2, 3.4, (96, 92, 80)),
    (7.0, 3.2, 5.5, (62, 59, 52)),
)
GLOW = 96  # pixels, the side of the pattern that every glow is scaled from


@functools.cache
def _pattern() -> Image.Image:
    axis = np.linspace(-1, 1, GLOW, dtype=np.float32)
    distance = np.hypot(axis[:, None], axis[None, :])
    fall = np.clip(1 - distance**2, 0, 1) * np.exp(-3 * distance**2)
    return Image.fromarray((fall * 255).astype(np.uint8))


def add_glow(image: Image.Image, centre: Pixel, radii: Pixel, colour: Colour) -> None:
    """Adds a soft ellipse of light to `image`, in place."""
    left, top = round(centre[0] - radii[0]), round(centre[1] - radii[1])
    width, height = max(2, round(2 * radii[0])), max(2, round(2 * radii[1]))
    box = (
        max(0, left),
        max(0, top),
        min(image.width, left + width),
        min(image.height, top + height),
    )
    if box[0] >= box[2] or box[1] >= box[3]:
        return
    part = (
        (box[0] - left) * GLOW / width,
        (box[1] - top) * GLOW / height,
        (box[2] - left) * GLOW / width,
        (box[3] - top) * GLOW / height,
    )
    size = (box[2] - box[0], box[3] - box[1])
    fall = _pattern().resize(size, Image.Resampling.BILINEAR, box=part)
    glow = Image.merge(
        "RGB", [fall.point([v * band // 255 for v in range(256)]) for band in colour]
    )
    image.paste(ImageChops.add(image.crop(box), glow), box[:2])


def add_beams(image: Image.Image, camera: Camera, item: Item) -> None:
    """The pool of light on the road before a vehicle; painted before the vehicle."""
    if item.parked or item.label == "person":
        return
    reach = _front_m(item)
    strength = 0.35 if item.label == "bicycle" else 1.0
    for ahead, wide, long, colour in BEAMS:
        z_m = item.z_m + item.heading * (reach + ahead)
        if z_m < 5:
            continue
        x, y = camera.project((item.x_m, 0.0, z_m))
        edge = camera.project((item.x_m, 0.0, max(4.0, z_m - long)))[1]
        radii = (wide * camera.pixels_per_m(item.x_m, z_m), max(2.0, (edge - y)))
        red, green, blue = (round(band * strength) for band in colour)
        add_glow(image, (x, y), radii, (red, green, blue))


def add_lamps(image: Image.Image, camera: Camera, item: Item) -> None:
    """Headlights or tail lights, with the glare around them; painted over the vehicle."""
    if item.parked or item.label == "person":
        return
    toward = item.heading < 0
    colour: Colour = (255, 246, 220) if toward else (255, 40, 30)
    for across, up in _lamp_places(item):
        along = _front_m(item) * (1 if toward else -1)
        x_m, _, z_m = place(item, across, up, along)
        if z_m < 5:
            continue
        centre, scale = camera.project((x_m, up, z_m)), camera.pixels_per_m(x_m, z_m)
        halos = ((1.2, 0.35), (0.5, 0.6), (0.22, 1.6)) if toward else ((0.5, 0.6), (0.2, 1.6))
        for size, share in halos:
            red, green, blue = (min(255, round(band * share)) for band in colour)
            add_glow(image, centre, (size * scale, size * scale), (red, green, blue))


def _front_m(item: Item) -> float:
    return build_of(item).length_m / 2 + 0.05 if item.label in BUILDS else 0.6


def _lamp_places(item: Item) -> tuple[tuple[float, float], ...]:
    if item.label not in BUILDS:
        return ((0.0, 0.78),)
    build = build_of(item)
    across = 0.36 * build.width_m
    return (-across, build.lamp_m), (across, build.lamp_m)
