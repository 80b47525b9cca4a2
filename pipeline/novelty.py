"""Is a frame a near-duplicate of what its camera showed lately? Uncertainty keeps.

Two witnesses must agree: perceptual hashes a few bits apart, and small grey pictures in which
nothing changed. The hash alone is no proof: one more vehicle in the street moves it by 3 bits or
less in two frames of three (benchmarks/novelty.py). Where the contrast is low, noise alone moves
the hash further than that, and the grey pictures decide by themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.hashing import distance
from pipeline.looks import Look, Region
from pipeline.records import Thumbnail
from pipeline.thumbnails import thumbnail_array

# Calibrated by benchmarks/novelty.py.
LOW_CONTRAST = 20.0  # standard deviation of the greys; above, noise moves a hash by 2 bits at most
LEAST_CHANGE = 6.0  # grey levels of 255, over a group of 2 x 2 thumbnail pixels
NOISE_FACTOR = 6.0  # standard deviations of the noise
MOST_NOISE = 25.0  # grey levels; what moves more is no noise, however many leaves do
SIGMA_PER_MAD = 1.4826

MOST_HIDDEN = 0.25  # of the picture; with more of it blurred, too little is left to compare
Change = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Resemblance:
    """The image that a frame is a near-duplicate of; no distance where hashes do not count."""

    image_id: str
    distance: int | None
    reason: str


def find_near_duplicate(
    look: Look, recent: Sequence[Look], max_distance: int
) -> Resemblance | None:
    """The first of `recent` that `look` shows nothing new against, if any.

    `max_distance` is in bits of 64; at -1 nothing is a near-duplicate.
    """
    if max_distance < 0:
        return None
    for other in recent:
        if not is_comparable(look, other):
            continue
        bits = None if is_flat(look) or is_flat(other) else distance(look.phash, other.phash)
        if bits is not None and bits > max_distance:
            continue
        if not has_changed(look.thumbnail, other.thumbnail, other.hidden):
            why = "low contrast" if bits is None else f"{bits} of 64 bits differ"
            return Resemblance(other.image_id, bits, f"{why}, and nothing that shows has changed")
    return None


def is_comparable(look: Look, other: Look) -> bool:
    ours, theirs = look.thumbnail, other.thumbnail
    return (ours.width, ours.height) == (theirs.width, theirs.height)


def is_flat(look: Look) -> bool:
    """Whether so little stands out that noise decides the bits of the hash."""
    return look.conditions.contrast < LOW_CONTRAST


def has_changed(now: Thumbnail, before: Thumbnail, hidden: Sequence[Region] = ()) -> bool:
    """Whether a compact group of pixels differs by more than light and noise explain."""
    shown = find_shown(before, hidden)
    if shown.mean() < 1 - MOST_HIDDEN:
        return True  # too little to tell
    change = average_groups(measure_change(now, before) * shown)
    if change.size == 0:
        return True  # a strip of a picture, in which nothing is compact
    sigma = SIGMA_PER_MAD * float(np.median(np.abs(change - np.median(change))))
    threshold = min(max(LEAST_CHANGE, NOISE_FACTOR * sigma), MOST_NOISE)
    return bool(np.abs(change).max() > threshold)


def find_shown(before: Thumbnail, hidden: Sequence[Region]) -> npt.NDArray[np.bool_]:
    """Height x width: False where a region, and a pixel around it, is hidden."""
    shown = np.ones((before.height, before.width), np.bool_)
    for x1, y1, x2, y2 in hidden:
        top, bottom = int(y1 * before.height) - 1, int(y2 * before.height) + 2
        left, right = int(x1 * before.width) - 1, int(x2 * before.width) + 2
        shown[max(top, 0) : bottom, max(left, 0) : right] = False
    return shown


def measure_change(now: Thumbnail, before: Thumbnail) -> Change:
    """Grey levels, height x width, without the change of the whole picture's brightness."""
    change = thumbnail_array(now).astype(np.float32) - thumbnail_array(before)
    return np.asarray(change - np.median(change), np.float32)


def average_groups(change: Change) -> Change:
    """The mean of every 2 x 2 pixels: noise averages out, an object does not."""
    rows = change[1:] + change[:-1]
    return np.asarray((rows[:, 1:] + rows[:, :-1]) / 4, np.float32)
