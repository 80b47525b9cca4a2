"""TEMPORARY (lead): replaced by the helper's calibrated version."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.hashing import distance
from pipeline.records import Conditions, Thumbnail


@dataclass(frozen=True)
class Look:
    image_id: str
    phash: str
    thumbnail: Thumbnail
    conditions: Conditions


@dataclass(frozen=True)
class Resemblance:
    image_id: str
    distance: int | None
    reason: str


def find_near_duplicate(
    look: Look, recent: Sequence[Look], max_distance: int
) -> Resemblance | None:
    for other in recent:
        bits = distance(look.phash, other.phash)
        if bits <= max_distance:
            return Resemblance(other.image_id, bits, f"{bits} bits from {other.image_id}")
    return None
