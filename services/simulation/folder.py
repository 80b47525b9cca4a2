"""A folder of pictures, shown one after the other in the order of their names."""

from __future__ import annotations

import re
from pathlib import Path

JPEG, PNG = "image/jpeg", "image/png"
CONTENT_TYPES = {".jpg": JPEG, ".jpeg": JPEG, ".png": PNG}
_NUMBERS = re.compile(r"(\d+)", re.ASCII)


class PictureFolder:
    """The JPEGs and PNGs of a folder; numbers in names count: `2.jpg` comes before `10.jpg`."""

    def __init__(self, path: Path) -> None:
        """FileNotFoundError when there is no such folder, or no picture in it."""
        if not path.is_dir():
            raise FileNotFoundError(f"there is no folder {path}")
        files = [file for file in path.iterdir() if file.is_file()]
        pictures = [file for file in files if file.suffix.lower() in CONTENT_TYPES]
        if not pictures:
            raise FileNotFoundError(f"no JPEG or PNG in {path}")
        self.path = path
        self._left_out = len(files) - len(pictures)
        self._pictures = sorted(pictures, key=_order)

    def describe(self) -> str:
        """How many files are shown, and how many are not."""
        shown = _count(len(self._pictures), "picture")
        if not self._left_out:
            return shown
        return f"{shown}, {_count(self._left_out, 'other file')} left out"

    def read(self, number: int) -> tuple[bytes, str]:
        """A picture as it is and its content type; from the start again after the last."""
        picture = self._pictures[number % len(self._pictures)]
        return picture.read_bytes(), CONTENT_TYPES[picture.suffix.lower()]


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _order(path: Path) -> tuple[list[str | int], str]:
    """Words and numbers take turns in what is compared."""
    parts = _NUMBERS.split(path.stem)
    return [int(part) if at % 2 else part for at, part in enumerate(parts)], path.name
