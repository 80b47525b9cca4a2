"""A scene drawn as a camera would see it: the street, what stands in it, light and noise."""

from __future__ import annotations

import dataclasses
import functools
import math

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from services.simulation.facades import build_houses
from services.simulation.geometry import HEIGHT_PX, WIDTH_PX, Camera
from services.simulation.ground import in_shadow
from services.simulation.lights import add_beams, add_lamps
from services.simulation.people import draw_person, draw_rider
from services.simulation.scene import Item, Scene
from services.simulation.shapes import Shape, bound
from services.simulation.street import draw_street, light_at
from services.simulation.vehicles import BUILDS, build_of, draw_vehicle

NOISE_BY_DAY, NOISE_AT_NIGHT = 2.0, 4.5  # standard deviation, of 255


def draw(scene: Scene, *, noise_seed: int) -> Image.Image:
    """RGB, 1280 x 720. The same scene and seed give the same pixels."""
    image = draw_street(scene.camera, scene.night).copy()
    items = sorted(scene.objects, key=lambda item: -item.z_m)
    if scene.night:
        for item in items:
            add_beams(image, scene.camera, item)
    for item in items:
        cut_out = _draw_parked if item.parked else _draw_sprite
        sprite, at = cut_out(scene.camera, item, scene.night)
        image.paste(sprite, at, sprite)
        if scene.night:
            add_lamps(image, scene.camera, item)
    return _add_noise(image, NOISE_AT_NIGHT if scene.night else NOISE_BY_DAY, noise_seed)


def draw_shapes(camera: Camera, item: Item) -> list[Shape]:
    """The polygons of one thing, back to front, in picture coordinates."""
    if item.label in BUILDS:
        return draw_vehicle(camera, item)
    return draw_person(camera, item) if item.label == "person" else draw_rider(camera, item)


def _draw_sprite(camera: Camera, item: Item, night: bool) -> tuple[Image.Image, tuple[int, int]]:
    """One thing and its shadow on a transparent ground, and where its corner goes."""
    if night or _is_shaded(camera, item):
        camera = dataclasses.replace(camera, sunny=False)
    shapes = draw_shapes(camera, item)
    shadow = _shadow(camera, item)
    left, top, right, bottom = bound((*shapes, shadow))
    margin = 8
    x, y = max(0, math.floor(left) - margin), max(0, math.floor(top) - margin)
    width = min(WIDTH_PX, math.ceil(right) + margin) - x
    height = min(HEIGHT_PX, math.ceil(bottom) + margin) - y
    if width <= 0 or height <= 0:
        return Image.new("RGBA", (1, 1)), (0, 0)
    fine = 2 if width > 160 else 4
    picture = Image.new("RGBA", (width * fine, height * fine))
    pen = ImageDraw.Draw(picture)
    for shape in shapes:
        pen.polygon([((u - x) * fine, (v - y) * fine) for u, v in shape.points], fill=shape.colour)
    solid = picture.reduce(fine)
    if night:
        light = light_at(camera, item.x_m, item.z_m)
        table = [min(255, round(level * band)) for band in light for level in range(256)]
        solid = solid.point([*table, *range(256)])
    sprite = _blur_shadow(shadow, (x, y), (width, height), 0.55 if night else 0.6)
    return Image.alpha_composite(sprite, solid), (x, y)


_draw_parked = functools.lru_cache(maxsize=2048)(_draw_sprite)  # they are far, hence small


def _is_shaded(camera: Camera, item: Item) -> bool:
    x_m, z_m = np.array([item.x_m], np.float32), np.array([item.z_m], np.float32)
    return bool(in_shadow(camera, build_houses(camera), x_m, z_m)[0])


def _shadow(camera: Camera, item: Item) -> Shape:
    """What the thing covers on the ground, stretched away from the sun."""
    if item.label in BUILDS:
        build = build_of(item)
        half, reach = build.width_m / 2, build.length_m / 2
        tall = 3.0 if build.length_m > 5 else 1.3
    else:
        half, reach, tall = 0.25, 0.3 if item.label == "person" else 0.9, 1.5
    sun = camera.sun if camera.sunny else (0.0, 1.0, 0.0)
    shift = (-sun[0] / sun[1] * tall, -sun[2] / sun[1] * tall)
    grow = 1.1
    corners = [
        (item.x_m + a * half * grow + s * shift[0], item.z_m + b * reach * grow + s * shift[1])
        for a in (-1, 1)
        for b in (-1, 1)
        for s in (0, 1)
    ]
    pixels = [camera.project((x, 0.0, max(5.0, z))) for x, z in corners]
    return Shape(_hull(pixels), (0, 0, 0), item.label)


def _hull(points: list[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """The convex outline of some points (Andrew's monotone chain)."""
    outline: list[tuple[float, float]] = []
    for ordered in (sorted(points), sorted(points, reverse=True)):
        chain: list[tuple[float, float]] = []
        for point in ordered:
            while len(chain) > 1 and _turn(chain[-2], chain[-1], point) <= 0:
                chain.pop()
            chain.append(point)
        outline += chain[:-1]
    return tuple(outline)


def _turn(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _blur_shadow(
    shadow: Shape, corner: tuple[int, int], size: tuple[int, int], strength: float
) -> Image.Image:
    mask = Image.new("L", size)
    points = [(u - corner[0], v - corner[1]) for u, v in shadow.points]
    ImageDraw.Draw(mask).polygon(points, fill=round(255 * strength))
    soft = mask.filter(ImageFilter.BoxBlur(max(1.0, min(4.0, size[0] / 60))))
    sprite = Image.new("RGBA", size)
    sprite.putalpha(soft)
    return sprite


def _add_noise(image: Image.Image, deviation: float, seed: int) -> Image.Image:
    """Grain as a sensor's, the same in the three colours."""
    rng = np.random.default_rng(seed)
    grain = rng.standard_normal((image.height, image.width), np.float32) * deviation + 128.5
    layer = Image.fromarray(grain.astype(np.uint8))
    return ImageChops.add(image, Image.merge("RGB", (layer, layer, layer)), 1, -128)
