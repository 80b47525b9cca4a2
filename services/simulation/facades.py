"""The houses along both sides of a street: rows of windows over shops, in Lyon's ochres."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from services.simulation.canvas import BLACK, Canvas
from services.simulation.geometry import Camera, Colour, Point
from services.simulation.shapes import shade

WALLS: tuple[Colour, ...] = (
    (214, 172, 118),
    (222, 180, 152),
    (230, 214, 182),
    (226, 198, 138),
    (200, 138, 104),
    (204, 194, 180),
    (206, 208, 188),
)
SHUTTERS: tuple[Colour, ...] = ((92, 108, 98), (120, 130, 140), (140, 96, 74), (212, 206, 194))
SHOPS: tuple[Colour, ...] = (
    (36, 72, 60),
    (120, 30, 34),
    (38, 48, 72),
    (190, 150, 70),
    (60, 56, 54),
)
HAZE: Colour = (196, 206, 216)
STOREY_M, SHOP_M = 3.1, 4.0
STREET_END_M = 170.0


@dataclass(frozen=True)
class House:
    """One house: where it stands, in metres along the street, and how it looks."""

    side: int  # -1 left, 1 right
    start_m: float
    end_m: float
    storeys: int
    wall: Colour
    shutter: Colour
    shop: Colour

    @property
    def height_m(self) -> float:
        return SHOP_M + self.storeys * STOREY_M + 0.6


@functools.lru_cache(maxsize=128)
def build_houses(camera: Camera) -> tuple[House, ...]:
    """Both rows, the farthest first."""
    rng = np.random.default_rng([camera.seed, camera.number, 5])
    houses = []
    for side in (-1, 1):
        start = 6.0
        while start < STREET_END_M:
            end = start + float(rng.uniform(9, 17))
            wall, shutter, shop = (rng.integers(len(p)) for p in (WALLS, SHUTTERS, SHOPS))
            colours = WALLS[wall], SHUTTERS[shutter], SHOPS[shop]
            houses.append(House(side, start, end, int(rng.integers(3, 6)), *colours))
            start = end
    return tuple(sorted(houses, key=lambda house: -house.start_m))


class _Wall:
    """Draws on one house's front in metres along and up."""

    def __init__(self, canvas: Canvas, house: House) -> None:
        self.canvas, self.house, camera = canvas, house, canvas.camera
        self.x_m = house.side * camera.facade_m
        facing = -house.side * camera.sun[0]
        self.light = 0.78 + (0.36 * facing if camera.sunny else 0.0)
        self.haze = min(0.55, house.start_m / 300)

    def rectangle(
        self, start: float, end: float, heights: tuple[float, float], colour: Colour
    ) -> None:
        self.pane(start, end, heights, colour, BLACK)

    def pane(
        self,
        start: float,
        end: float,
        heights: tuple[float, float],
        colour: Colour,
        glow: Colour,
    ) -> None:
        low, high = heights
        corners = ((start, low), (end, low), (end, high), (start, high))
        points: list[Point] = [(self.x_m, up, along) for along, up in corners]
        self.canvas.face(points, self.tint(colour), glow)

    def tint(self, colour: Colour) -> Colour:
        """The colour in this light, paler with distance."""
        lit = shade(colour, self.light)
        bands = (
            round(band * (1 - self.haze) + far * self.haze)
            for band, far in zip(lit, HAZE, strict=True)
        )
        red, green, blue = bands
        return red, green, blue


def draw_houses(canvas: Canvas, houses: tuple[House, ...]) -> None:
    """Every house, the farthest first."""
    camera = canvas.camera
    for number, house in enumerate(houses):
        rng = np.random.default_rng([camera.seed, camera.number, 6, number])
        wall = _Wall(canvas, house)
        _draw_gable(wall)
        wall.rectangle(house.start_m, house.end_m, (0, house.height_m), house.wall)
        wall.rectangle(
            house.start_m, house.start_m + 0.15, (0, house.height_m), shade(house.wall, 0.8)
        )
        top = house.height_m
        wall.rectangle(house.start_m, house.end_m, (top - 0.5, top), shade(house.wall, 1.12))
        wall.rectangle(house.start_m, house.end_m, (top - 0.62, top - 0.5), shade(house.wall, 0.6))
        _draw_shops(wall, rng)
        for storey in range(house.storeys):
            _draw_storey(wall, SHOP_M + storey * STOREY_M, rng)


def _draw_gable(wall: _Wall) -> None:
    """The bare end wall, seen where the nearer neighbour is lower."""
    house, x_m = wall.house, wall.x_m
    far_x = x_m + house.side * 9
    z_m, top = house.start_m, house.height_m
    corners = [(x_m, 0.0, z_m), (far_x, 0.0, z_m), (far_x, top, z_m), (x_m, top, z_m)]
    wall.canvas.face(corners, wall.tint(shade(house.wall, 0.72)))


def _draw_storey(wall: _Wall, floor_m: float, rng: np.random.Generator) -> None:
    house = wall.house
    count = max(2, int((house.end_m - house.start_m) / 2.7))
    pitch = (house.end_m - house.start_m) / count
    low, high = floor_m + 0.7, floor_m + 2.6
    wall.rectangle(
        house.start_m, house.end_m, (floor_m - 0.06, floor_m + 0.08), shade(house.wall, 1.08)
    )
    for column in range(count):
        start = house.start_m + (column + 0.5) * pitch - 0.55
        end = start + 1.1
        lit, closed = rng.random() < 0.22, rng.random() < 0.1
        glow = shade((255, 205, 130), float(rng.uniform(0.45, 0.95))) if lit else BLACK
        wall.rectangle(start - 0.12, end + 0.12, (low - 0.12, high + 0.15), shade(house.wall, 1.15))
        if closed:
            wall.rectangle(start, end, (low, high), house.shutter)
            continue
        wall.pane(start, end, (low, high), (70, 80, 90), glow)
        wall.rectangle(start, end, (high - 0.3, high), (40, 46, 54))
        if house.start_m > 90:
            continue
        wall.rectangle(start + 0.5, start + 0.6, (low, high), (206, 204, 198))
        wall.rectangle(start - 0.58, start - 0.04, (low, high), house.shutter)
        wall.rectangle(end + 0.04, end + 0.58, (low, high), house.shutter)
        wall.rectangle(start - 0.1, end + 0.1, (low, low + 0.08), (52, 52, 54))
        wall.rectangle(start - 0.1, end + 0.1, (low + 0.45, low + 0.53), (52, 52, 54))


def _draw_shops(wall: _Wall, rng: np.random.Generator) -> None:
    house = wall.house
    wall.rectangle(
        house.start_m + 0.3, house.end_m - 0.3, (0, SHOP_M - 0.5), shade(house.wall, 0.82)
    )
    start = house.start_m + 0.5
    while start + 2.8 < house.end_m:
        end = min(start + float(rng.uniform(2.6, 4.2)), house.end_m - 0.5)
        open_late = rng.random() < 0.3
        glow = shade((255, 220, 168), float(rng.uniform(0.6, 0.9))) if open_late else BLACK
        wall.pane(start, end, (0.4, 2.7), (58, 66, 74), glow)
        wall.pane(start, end, (0.4, 1.2), (48, 52, 58), shade(glow, 0.55))
        wall.pane(start, end, (2.2, 2.7), (84, 92, 100), shade(glow, 0.8))
        wall.rectangle(start, end, (0, 0.4), shade(house.shop, 0.8))
        wall.pane(
            start, end, (2.75, 3.4), house.shop, shade(house.shop, 0.7) if open_late else BLACK
        )
        wall.rectangle(start + 1.1, start + 1.22, (0.0, 2.7), house.shop)
        start = end + 0.4
