from __future__ import annotations

from PIL import Image

from pipeline.thumbnails import thumbnail, thumbnail_array


def test_thumbnail_averages_areas_and_keeps_the_aspect() -> None:
    image = Image.new("L", (240, 135))
    image.paste(255, (0, 0, 120, 135))
    small = thumbnail(image)
    pixels = thumbnail_array(small)
    assert (small.width, small.height, pixels.shape) == (96, 54, (54, 96))
    assert pixels[:, :48].min() == 255
    assert pixels[:, 48:].max() == 0
    assert thumbnail(Image.new("L", (64, 64))).width == 64
