"""Asphalt, kerbs, pavements and markings, by finding for each pixel where it lies in the street."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from PIL import Image

from services.simulation.canvas import OVERSAMPLE
from services.simulation.facades import HAZE, STREET_END_M, House
from services.simulation.geometry import HEIGHT_PX, WIDTH_PX, Camera
from services.simulation.scene import CROSSING_M

Grid = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
TILE = 512
BAND = 64  # rows at a time: all at once take 0.2 GB and half as long again


def draw_ground(camera: Camera, houses: tuple[House, ...]) -> tuple[Image.Image, int]:
    """The ground at `OVERSAMPLE` times the picture's size, and the row that it begins at."""
    top, bottom = max(0, math.ceil(camera.horizon_px * OVERSAMPLE) + 6), HEIGHT_PX * OVERSAMPLE
    rng = np.random.default_rng([camera.seed, camera.number, 8])
    tiles = _build_tile(rng, TILE), _build_tile(rng, 24)
    bands = [
        _paint(camera, houses, tiles, range(row, min(row + BAND, bottom)))
        for row in range(top, bottom, BAND)
    ]
    return Image.fromarray(np.concatenate(bands)), top


def _paint(
    camera: Camera, houses: tuple[House, ...], tiles: tuple[Grid, Grid], rows: range
) -> npt.NDArray[np.uint8]:
    x_m, z_m = _locate(camera, rows)
    near = np.clip(18 / z_m, 0.1, 1)
    light: Grid = np.ones_like(x_m)
    light += 0.06 * near * _sample(tiles[0], x_m * 24, z_m * 24)
    light += 0.06 * _sample(tiles[1], x_m * 14, z_m * 5)
    across: Grid = np.abs(x_m)
    colours = np.empty((*x_m.shape, 3), np.float32)
    colours[:] = (98, 98, 101)
    colours[across > camera.road_m] = (90, 89, 90)
    tracks = np.abs(np.abs((across % 3.2) - 1.6) - 0.8) < 0.3
    light[tracks & (across < camera.road_m)] *= 0.95
    _pave(camera, colours, light, (across, z_m))
    white = _markings(camera, x_m, z_m)
    colours[white] = (214, 214, 208)
    light[white] = 0.7 + 0.3 * light[white]
    if camera.sunny:
        light *= np.where(in_shadow(camera, houses, x_m, z_m), np.float32(0.66), np.float32(1.12))
    haze = np.clip(z_m / 300, 0, 0.55)[..., None]
    painted = colours * light[..., None] * (1 - haze) + np.asarray(HAZE, np.float32) * haze
    return np.clip(painted, 0, 255).astype(np.uint8)


def _locate(camera: Camera, band: range) -> tuple[Grid, Grid]:
    """Metres across and along for every pixel of some rows: `Camera.project` reversed."""
    rows = (np.array(band, np.float32) + 0.5) / OVERSAMPLE
    columns = (np.arange(WIDTH_PX * OVERSAMPLE, dtype=np.float32) + 0.5) / OVERSAMPLE
    below = ((rows - HEIGHT_PX / 2) / camera.focal_px)[:, None]
    across = ((columns - WIDTH_PX / 2) / camera.focal_px)[None, :]
    along = math.cos(camera.pitch) - below * math.sin(camera.pitch)
    reach = camera.height_m / (math.sin(camera.pitch) + below * math.cos(camera.pitch))
    x_m = reach * (across * math.cos(camera.yaw) + along * math.sin(camera.yaw)) + camera.x_m
    z_m = reach * (along * math.cos(camera.yaw) - across * math.sin(camera.yaw))
    return x_m.astype(np.float32), np.maximum(z_m, 1).astype(np.float32)


def _build_tile(rng: np.random.Generator, cells: int) -> Grid:
    """Noise with deviation 1, in spots the larger the fewer `cells` it has."""
    noise = Image.fromarray(rng.standard_normal((cells, cells)).astype(np.float32))
    return np.asarray(noise.resize((TILE, TILE), Image.Resampling.BICUBIC), np.float32)


def _sample(tile: Grid, across: Grid, along: Grid) -> Grid:
    """The tile, repeated over the ground."""
    return tile[along.astype(np.int32) % TILE, across.astype(np.int32) % TILE]


def _pave(camera: Camera, colours: Grid, light: Grid, place: tuple[Grid, Grid]) -> None:
    across, z_m = place
    pavement = across > camera.kerb_m
    colours[pavement] = (160, 155, 148)
    joints = ((across % 0.8 < 0.04) | (z_m % 0.8 < 0.04)) & (z_m < 45)
    light[pavement & joints] *= 0.86
    colours[pavement & (across < camera.kerb_m + 0.28)] = (186, 184, 178)
    gutter = (across > camera.kerb_m - 0.25) & ~pavement
    light[gutter] *= 0.7


def _markings(camera: Camera, x_m: Grid, z_m: Grid) -> Mask:
    across, road = np.abs(x_m), camera.road_m
    driven = across < road
    lines = (across < 0.08) & (z_m > CROSSING_M + 5)
    for lane in range(1, camera.lanes):
        lines |= (np.abs(across - 3.2 * lane) < 0.07) & (z_m % 4.5 < 1.5)
    lines |= (np.abs(across - road) < 0.06) & (z_m % 5.6 < 5.0) & (z_m > CROSSING_M + 5)
    crossing = np.abs(z_m - CROSSING_M) < 1.9
    stripes = crossing & (x_m % 1.0 < 0.5) & (across < camera.kerb_m)
    stop = (np.abs(z_m - CROSSING_M + 3.4) < 0.25) & (x_m > 0.1) & driven
    stop |= (np.abs(z_m - CROSSING_M - 3.4) < 0.25) & (x_m < -0.1) & driven
    marked: Mask = (lines & ~crossing & (z_m < 140)) | stripes | stop
    return marked


def in_shadow(camera: Camera, houses: tuple[House, ...], x_m: Grid, z_m: Grid) -> Mask:
    """Where the houses on the sun's side stand before the sun; any shape, in metres."""
    side = 1 if camera.sun[0] > 0 else -1
    row = sorted((h for h in houses if h.side == side), key=lambda house: house.start_m)
    heights = np.array([house.height_m for house in row], np.float32)
    starts = np.array([house.start_m for house in row], np.float32)
    slope = abs(camera.sun[0] / camera.sun[1])
    gap_m = camera.facade_m - side * x_m
    along = z_m + gap_m / slope * (camera.sun[2] / camera.sun[1])
    found = np.clip(np.searchsorted(starts, along) - 1, 0, len(row) - 1)
    shadow: Mask = (gap_m < heights[found] * slope) & (z_m < STREET_END_M)
    return shadow
