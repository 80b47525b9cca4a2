"""Where a point of the street falls in a camera's picture: a pinhole camera above the road.

Street coordinates are metres: x to the right, y up, z along the street, away from the camera.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

WIDTH_PX, HEIGHT_PX = 1280, 720

Point = tuple[float, float, float]  # metres
Pixel = tuple[float, float]
Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Camera:
    """One camera and its street, fixed for life by the city's seed and the camera's number."""

    seed: int
    number: int  # from 1
    x_m: float
    height_m: float
    yaw: float  # radians, to the right
    pitch: float  # radians, downwards
    focal_px: float
    lanes: int  # each way
    pavement_m: float
    sunny: bool
    sun: Point  # unit vector towards the sun

    @property
    def road_m(self) -> float:
        """Half the width of the lanes driven on."""
        return 3.2 * self.lanes

    @property
    def kerb_m(self) -> float:
        """From the middle of the street to the kerb: lanes, then cars parked."""
        return self.road_m + 2.2

    @property
    def facade_m(self) -> float:
        return self.kerb_m + self.pavement_m

    def project(self, point: Point) -> Pixel:
        """The pixel of a point in front of the camera."""
        x, down, z = point[0] - self.x_m, self.height_m - point[1], point[2]
        across = x * math.cos(self.yaw) - z * math.sin(self.yaw)
        along = x * math.sin(self.yaw) + z * math.cos(self.yaw)
        depth = along * math.cos(self.pitch) + down * math.sin(self.pitch)
        below = down * math.cos(self.pitch) - along * math.sin(self.pitch)
        scale = self.focal_px / max(depth, 0.5)
        return WIDTH_PX / 2 + across * scale, HEIGHT_PX / 2 + below * scale

    def pixels_per_m(self, x: float, z: float) -> float:
        """How tall a metre standing on the ground at (x, z) is in the picture."""
        return self.project((x, 0.0, z))[1] - self.project((x, 1.0, z))[1]

    @property
    def horizon_px(self) -> float:
        return HEIGHT_PX / 2 - self.focal_px * math.tan(self.pitch)

    @property
    def vanishing_px(self) -> float:
        """The column that the street runs towards."""
        return WIDTH_PX / 2 - self.focal_px * math.tan(self.yaw) / math.cos(self.pitch)


def build_camera(seed: int, number: int) -> Camera:
    """Camera `number` of the city grown from `seed`."""
    rng = np.random.default_rng([seed, number, 1])
    sun_x, sun_z = rng.uniform(-0.8, 0.8), rng.uniform(-0.7, -0.2)
    length = math.hypot(sun_x, 1.0, sun_z)
    return Camera(
        seed=seed,
        number=number,
        x_m=float(rng.uniform(-1.5, 3.0)),
        height_m=float(rng.uniform(5.5, 7.0)),
        yaw=math.radians(float(rng.uniform(-5, 5))),
        pitch=math.radians(float(rng.uniform(6, 10))),
        focal_px=float(rng.uniform(900, 1100)),
        lanes=int(rng.integers(1, 3)),
        pavement_m=float(rng.uniform(4.0, 6.0)),
        sunny=bool(rng.random() < 0.65),
        sun=(float(sun_x / length), 1.0 / length, float(sun_z / length)),
    )
