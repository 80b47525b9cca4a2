"""Two pictures painted at once: the colours by day, and what gives light of its own at night."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw

from services.simulation.geometry import HEIGHT_PX, WIDTH_PX, Camera, Colour, Pixel, Point
from services.simulation.shapes import capsule, ellipse

OVERSAMPLE = 2
BLACK: Colour = (0, 0, 0)


class Canvas:
    """Paints in picture coordinates, `OVERSAMPLE` times as finely as the picture."""

    def __init__(self, camera: Camera) -> None:
        self.camera = camera
        size = (WIDTH_PX * OVERSAMPLE, HEIGHT_PX * OVERSAMPLE)
        self.day = Image.new("RGB", size)
        self.glow = Image.new("RGB", size)
        self._pens = ImageDraw.Draw(self.day), ImageDraw.Draw(self.glow)

    def fill(self, outline: Sequence[Pixel], colour: Colour, glow: Colour = BLACK) -> None:
        """A polygon in pixels; it hides the light of what is behind it."""
        points = [(x * OVERSAMPLE, y * OVERSAMPLE) for x, y in outline]
        for pen, paint in zip(self._pens, (colour, glow), strict=True):
            pen.polygon(points, fill=paint)

    def face(self, corners: Sequence[Point], colour: Colour, glow: Colour = BLACK) -> None:
        """A polygon in metres."""
        self.fill([self.camera.project(corner) for corner in corners], colour, glow)

    def disc(self, centre: Pixel, radius: float, colour: Colour, glow: Colour = BLACK) -> None:
        self.fill(ellipse(centre, (radius, radius)), colour, glow)

    def rod(self, start: Point, end: Point, radius_m: float, colour: Colour) -> None:
        """A pole or a branch."""
        width = max(0.35, radius_m * self.camera.pixels_per_m(start[0], start[2]))
        ends = self.camera.project(start), self.camera.project(end)
        self.fill(capsule(*ends, width, width * 0.8), colour)
