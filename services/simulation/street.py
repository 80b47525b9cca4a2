"""The bare street of a camera, by day or night; painted once per camera and kept."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import numpy.typing as npt
from PIL import Image

from services.simulation.canvas import OVERSAMPLE, Canvas
from services.simulation.facades import build_houses, draw_houses
from services.simulation.furniture import draw_furniture, place_lamps
from services.simulation.geometry import HEIGHT_PX, WIDTH_PX, Camera, Colour
from services.simulation.ground import draw_ground
from services.simulation.lights import add_glow
from services.simulation.shapes import shade

MOONLIGHT = (0.15, 0.165, 0.22)
LAMPLIGHT = (1.0, 0.8, 0.52)


@functools.lru_cache(maxsize=128)  # 2.8 MB each
def draw_street(camera: Camera, night: bool) -> Image.Image:
    """RGB, 1280 x 720; shared between callers, so copy it before you paint on it."""
    seen = dataclasses.replace(camera, sunny=False) if night else camera
    canvas = Canvas(seen)
    houses = build_houses(seen)
    _draw_sky(canvas)
    ground, top = draw_ground(seen, houses)
    canvas.day.paste(ground, (0, top))
    canvas.glow.paste((0, 0, 0), (0, top, *canvas.glow.size))
    draw_houses(canvas, houses)
    draw_furniture(canvas)
    day = _weather(seen, canvas.day.reduce(OVERSAMPLE))
    return _darken(seen, day, canvas.glow.reduce(OVERSAMPLE)) if night else day


def _draw_sky(canvas: Canvas) -> None:
    """A sky paler towards the horizon, and the hill that closes the street."""
    camera = canvas.camera
    zenith: Colour = (104, 152, 214) if camera.sunny else (176, 186, 198)
    bottom = camera.horizon_px + 8
    for row in range(int(bottom) + 1):
        share = (row / bottom) ** 1.3
        colours = [
            tuple(round(a + (b - a) * share) for a, b in zip(*pair, strict=True))
            for pair in ((zenith, (222, 228, 232)), ((8, 11, 22), (44, 38, 40)))
        ]
        band = [(0, row), (WIDTH_PX, row), (WIDTH_PX, row + 1), (0, row + 1)]
        canvas.fill(band, (colours[0][0], colours[0][1], colours[0][2]), _triple(colours[1]))
    _draw_hill(canvas)


def _weather(camera: Camera, day: Image.Image) -> Image.Image:
    """Walls are never of quite one tone: a few per cent of slow change over the picture."""
    rng = np.random.default_rng([camera.seed, camera.number, 13])
    layers = [
        Image.fromarray(rng.standard_normal((9 * fine, 16 * fine)).astype(np.float32))
        for fine in (1, 5)
    ]
    size, how = (WIDTH_PX, HEIGHT_PX), Image.Resampling.BICUBIC
    tone = sum(np.asarray(layer.resize(size, how)) for layer in layers)
    toned = np.asarray(day, np.float32) * (1 + 0.018 * np.asarray(tone)[..., None])
    return Image.fromarray(np.clip(toned, 0, 255).astype(np.uint8))


def _triple(colour: tuple[int, ...]) -> Colour:
    return colour[0], colour[1], colour[2]


def _draw_hill(canvas: Canvas) -> None:
    camera = canvas.camera
    rng = np.random.default_rng([camera.seed, camera.number, 12])
    columns = np.linspace(-20, WIDTH_PX + 20, 60)
    waves = sum(
        np.sin(columns / width + rng.uniform(0, 6)) * size for width, size in ((240, 9), (70, 3))
    )
    ridge = camera.horizon_px - 26 - np.asarray(waves)
    bottom = camera.horizon_px + 10
    outline = [(float(x), float(y)) for x, y in zip(columns, ridge, strict=True)]
    canvas.fill([*outline, (WIDTH_PX + 20, bottom), (-20, bottom)], (128, 146, 138), (14, 16, 20))
    for _ in range(70):
        x = camera.vanishing_px + float(rng.normal(0, 90))
        y = bottom - 6 - float(rng.uniform(0, 22))
        wide, high = float(rng.uniform(3, 8)), float(rng.uniform(3, 6))
        tone = shade((206, 192, 172), float(rng.uniform(0.85, 1.05)))
        lit: Colour = (120, 96, 60) if rng.random() < 0.3 else (14, 14, 18)
        canvas.fill([(x, y), (x + wide, y), (x + wide, y + high), (x, y + high)], tone, lit)


def _darken(camera: Camera, day: Image.Image, glow: Image.Image) -> Image.Image:
    """The same street under its lamps."""
    light = _lamplight(camera)
    lit = np.asarray(day, np.float32) * light + np.asarray(glow, np.float32)
    image = Image.fromarray(np.clip(lit, 0, 255).astype(np.uint8))
    bloom = glow.reduce(4).resize((80, 45), Image.Resampling.BOX).resize(image.size)
    image = Image.blend(image, _add(image, bloom), 0.5)
    for head in place_lamps(camera):
        size = camera.pixels_per_m(head[0], head[2])
        for reach_m, colour in ((3.5, (60, 48, 30)), (1.1, (200, 168, 116))):
            add_glow(image, camera.project(head), (reach_m * size, reach_m * size), colour)
    return image


def _add(image: Image.Image, light: Image.Image) -> Image.Image:
    total = np.asarray(image, np.int16) + np.asarray(light, np.int16)
    return Image.fromarray(np.clip(total, 0, 255).astype(np.uint8))


def _lamplight(camera: Camera) -> npt.NDArray[np.float32]:
    """How much light falls on each pixel, per colour."""
    strength = Image.new("RGB", (WIDTH_PX, HEIGHT_PX))
    warm: Colour = (120, 96, 66)
    for x_m, up_m, z_m in place_lamps(camera):
        scale = camera.pixels_per_m(x_m, z_m)
        x, y = camera.project((x_m * 0.8, 0.0, z_m))
        far, near = (camera.project((x_m, 0.0, z)) for z in (z_m + 9, max(7.0, z_m - 8)))
        add_glow(strength, (x, y), (12 * scale, near[1] - far[1]), warm)
        side = 1 if x_m > 0 else -1
        wash = camera.project((side * camera.facade_m, up_m * 0.6, z_m))
        add_glow(strength, wash, (8 * scale, 9 * scale), shade(warm, 0.6))
    lamps = np.asarray(strength, np.float32) / np.float32(200)
    return lamps + np.asarray(MOONLIGHT, np.float32)


def light_at(camera: Camera, x_m: float, z_m: float) -> tuple[float, float, float]:
    """The light, per colour, on something that stands in the street at night."""
    strength = sum(
        float(np.exp(-((x_m - lamp[0]) ** 2 / 40 + (z_m - lamp[2]) ** 2 / 36)))
        for lamp in place_lamps(camera)
    )
    red, green, blue = (
        moon * 1.2 + 0.45 * min(1.0, strength) * lamp
        for moon, lamp in zip(MOONLIGHT, LAMPLIGHT, strict=True)
    )
    return red, green, blue
