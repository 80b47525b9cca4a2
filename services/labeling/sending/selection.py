"""Which images are sent to be labelled, in what order, and why. A repeat says the same."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from pipeline.annotations import CLASSES
from pipeline.records import Detections
from services.labeling.settings import LabelingSettings, SendPolicy

ASKED_RANK = -1.0  # before all that a policy sends, whose ranks begin at 0


@dataclass(frozen=True)
class Rules:
    """`band`: scores, low and high, between which a model's word is worth little."""

    policy: SendPolicy
    every_nth: int = 10
    fraction: float = 0.1
    band: tuple[float, float] = (0.3, 0.6)

    @classmethod
    def of(cls, settings: LabelingSettings) -> Rules:
        return cls(settings.policy, settings.every_nth, settings.fraction, settings.score_band)


@dataclass(frozen=True)
class Decision:
    """The lowest `rank` is sent first."""

    sent: bool
    reason: str
    rank: float = 0.0


ASKED = Decision(sent=True, reason="asked for by hand", rank=ASKED_RANK)


def decide(found: Detections, rules: Rules, place: int) -> Decision:
    """`place`: how many images of its source and day were captured before it.

    An image in which nothing was found is sent like any other, since a training set needs
    negatives, and misses are what a person corrects; but not as uncertain: nobody doubted it.
    """
    match rules.policy:
        case SendPolicy.ALL:
            return Decision(sent=True, reason="all images are sent")
        case SendPolicy.NTH:
            return _decide_by_place(place, rules.every_nth)
        case SendPolicy.RANDOM:
            return _decide_by_lot(found.provenance.id, rules.fraction)
        case SendPolicy.UNCERTAIN:
            return _decide_by_doubt(found, rules.band)


def _decide_by_place(place: int, every: int) -> Decision:
    told = f"number {place + 1} of its source and day, of which one in {every} is sent"
    return Decision(sent=place % every == 0, reason=told)


def _decide_by_lot(image: str, fraction: float) -> Decision:
    lot = int(hashlib.sha256(image.encode()).hexdigest()[:8], 16) / 2**32
    drawn = lot < fraction
    return Decision(drawn, f"{'' if drawn else 'not '}drawn by lot: {fraction:.0%} are sent")


def _decide_by_doubt(found: Detections, band: tuple[float, float]) -> Decision:
    """Ranked by how far the least certain detection is from the middle of the band."""
    low, high = band
    scores = [one.score for one in found.detections if one.label in CLASSES]
    doubted = [score for score in scores if low <= score <= high]
    if not doubted:
        what = "nothing was found" if not scores else "no detection is that uncertain"
        return Decision(sent=False, reason=f"{what}: scores {low:.2f} to {high:.2f} are sent")
    middle = (low + high) / 2
    least = min(doubted, key=lambda score: abs(score - middle))
    return Decision(True, f"uncertain: a score of {least:.2f}", abs(least - middle))
