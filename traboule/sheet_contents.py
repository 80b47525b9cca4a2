"""What a contact sheet shows, and the words and colours it shows it in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from pipeline.catalog.images import ImageFilter
from pipeline.records import (
    FACE,
    FAILURES,
    KEPT_STATES,
    NOTHING_NEW,
    VEHICLES,
    Detection,
    ImageState,
    Outcome,
    Policy,
    Provenance,
)

STATES_IN_WORDS: Mapping[str, str] = {
    ImageState.STORED: "waiting for detection",
    ImageState.AWAITING_MODEL: "waiting for a model",
    ImageState.STORING: "being stored",
}
COLOURS = {
    FACE: "#ff4f9a",
    "person": "#ffd60a",
    "bicycle": "#3ddc61",
    "car": "#35b1ff",
    "motorcycle": "#c77dff",
    "bus": "#ff9f1c",
    "truck": "#ff6b52",
    "moving-object": "#5ff0e0",
}
COLOURS_OF_OTHERS = ("#b6f36b", "#cfc2ff", "#ffb9ad", "#e6e6e6")
# Who looks for what: zero found is worth saying only where somebody looked.
LOOKED_FOR_BY = {
    "faces blurred": {"yunet", "haar"},
    "people": {"yolox-nano"},
    "vehicles": {"yolox-nano"},
    "moving objects": {"moving-object"},
}


@dataclass(frozen=True)
class SheetImage:
    """`jpeg` is base64, empty where there is nothing to show; boxes are in pixels of
    `width` x `height`, whatever the JPEG was reduced to; `detectors` are those that looked."""

    id: str
    captured_at: datetime
    state: str
    width: int
    height: int
    reason: str = ""
    jpeg: str = ""
    boxes: tuple[Detection, ...] = ()
    blurred: int = 0
    detectors: frozenset[str] = frozenset()
    origin: Provenance | None = None

    @property
    def counts(self) -> dict[str, int]:
        """Label to count, in the legend's order."""
        counts = Counter(box.label for box in self.boxes)
        return {label: counts[label] for label in _sorted_labels(counts)}


@dataclass(frozen=True)
class SheetCamera:
    id: str
    name: str
    attribution: str
    licence: str
    policy: Policy | None
    images: tuple[SheetImage, ...]


@dataclass(frozen=True)
class Polls:
    """How a camera's polls ended: outcome to count, what was kept first."""

    name: str
    outcomes: Mapping[str, int]

    @property
    def total(self) -> int:
        return sum(self.outcomes.values())


@dataclass(frozen=True)
class Sheet:
    """`matching` counts the images the filter finds, shown or not; `gone` those deleted between
    the catalog's answer and the store's."""

    title: str
    made_at: datetime
    wanted: ImageFilter
    matching: int
    gone: int
    cameras: tuple[SheetCamera, ...]
    polls: tuple[Polls, ...]

    @property
    def images(self) -> tuple[SheetImage, ...]:
        return tuple(image for camera in self.cameras for image in camera.images)

    @property
    def totals(self) -> dict[str, int]:
        """What the header says, in its order; nothing of what no detector looked for."""
        found = Counter[str]()
        for image in self.images:
            found.update(image.counts)
        looked = {name for image in self.images for name in image.detectors}
        counts = {
            "faces blurred": sum(image.blurred for image in self.images),
            "people": found["person"],
            "vehicles": sum(found[label] for label in VEHICLES),
            "moving objects": found["moving-object"],
        }
        told = {what: n for what, n in counts.items() if n or looked & LOOKED_FOR_BY[what]}
        return {"images": len(self.images), "cameras": len(self.cameras), **told}

    @property
    def colours(self) -> dict[str, str]:
        """Label to colour, of the labels on the sheet."""
        labels = _sorted_labels({box.label for image in self.images for box in image.boxes})
        others = [label for label in labels if label not in COLOURS]
        spare = {
            label: COLOURS_OF_OTHERS[at % len(COLOURS_OF_OTHERS)] for at, label in enumerate(others)
        }
        return {label: COLOURS.get(label) or spare[label] for label in labels}


def describe_filter(sheet: Sheet) -> str:
    """The filter in words: "3 newest of 9 images, camera lyon-1, with car"."""
    wanted, matching = sheet.wanted, sheet.matching
    shown = len(sheet.images) + sheet.gone
    many = f"{matching:,} image{'' if matching == 1 else 's'}"
    words = [f"{shown} newest of {many}" if shown < matching else f"all {many}"]
    if shown < matching and wanted.camera is None and len(sheet.cameras) > 1:
        words = [f"{shown} of {many}", "the newest of each camera"]
    if wanted.camera is not None:
        words.append(f"camera {wanted.camera}")
    if wanted.since is not None:
        words.append(f"from {show_local(wanted.since)}")
    if wanted.until is not None:
        words.append(f"until {show_local(wanted.until)}")
    if wanted.label is not None:
        words.append(f"with {wanted.label}")
    if wanted.states != KEPT_STATES:
        words.append(" or ".join(state_in_words(state) for state in wanted.states))
    return ", ".join(words)


def state_in_words(state: str) -> str:
    return STATES_IN_WORDS.get(state, state)


def classify(outcome: str) -> str:
    """Which of the bar's four colours an outcome has."""
    if outcome == Outcome.KEPT:
        return "kept"
    if outcome in NOTHING_NEW:
        return "nothing-new"
    return "failed" if outcome in FAILURES or outcome == Outcome.DISK_LOW else "dropped"


def show_local(at: datetime) -> str:
    return f"{at.astimezone():%a %d %b %Y, %H:%M:%S %Z}"


def _sorted_labels(labels: Collection[str]) -> list[str]:
    """The known labels in their colours' order, then the others."""
    known = [label for label in COLOURS if label in labels]
    return known + sorted(set(labels) - set(known))
