"""Which images a model learns from and which it is measured on, decided by their names alone.

All that one source saw on one day goes to one side: frames of a fixed camera resemble one another,
and a model measured on what it nearly saw looks better than it is. The same image is on the same
side in every export, as long as there is enough to split so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from pipeline import keys


@dataclass(frozen=True)
class Split:
    train: Sequence[str]
    val: Sequence[str]
    note: str


def split_images(images: Sequence[str], val: float) -> Split:
    """`val` is the part to measure on, 0 to 1; neither side stays empty unless it is 0."""
    if val <= 0 or len(images) < 2:
        why = "as asked" if val <= 0 else "there are too few"
        return Split(images, images, f"nothing is held back ({why}): val names the train images")
    by_day = _divide(images, val, day_of)
    if by_day.train and by_day.val:
        return by_day
    return _keep_both(_divide(images, val, str))


def day_of(image: str) -> str:
    return f"{keys.source_of(image)}/{keys.captured_at(image):%Y-%m-%d}"


def _divide(images: Sequence[str], val: float, group_of: Callable[[str], str]) -> Split:
    sides: tuple[list[str], list[str]] = ([], [])
    for image in images:
        sides[_draw(group_of(image)) < val].append(image)
    how = "single images" if group_of is str else "a source's whole days"
    return Split(*sides, f"{val:.0%} held back for val, by {how}")


def _keep_both(split: Split) -> Split:
    """One image changes sides where a side would be empty."""
    images = [*split.train, *split.val]
    if split.train and split.val:
        return split
    moved = min(images, key=_draw) if not split.val else max(images, key=_draw)
    others = [image for image in images if image != moved]
    sides = (others, [moved]) if not split.val else ([moved], others)
    return Split(*sides, f"{split.note}; one image was moved so that neither is empty")


def _draw(name: str) -> float:
    """0 to 1, the same for the same name."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) / 2**64


def list_files(folder: str, images: Iterable[str]) -> bytes:
    """A list of images as YOLO's tools read it: relative to the list itself."""
    return "".join(f"./{folder}/{image}.jpg\n" for image in images).encode()
