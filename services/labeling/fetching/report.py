"""What fetching the images of labels is asked to do, and what it says came of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from pipeline.decoding import DecodeLimits

Progress = Callable[[int, int], None]  # label files seen to, and in all


@dataclass(frozen=True)
class FetchOptions:
    """`project` None looks through all projects of the server. `trust_names`: a label file whose
    hash fits no task takes the image of the same name, where there is but one. `is_all`: an image
    without labels among these leaves the folder's set."""

    project: int | None = None
    images_per_s: float = 5.0
    trust_names: bool = False
    is_all: bool = False
    classes: Mapping[int, str] | None = None  # where there is no notes.json
    limits: DecodeLimits = field(default_factory=lambda: DecodeLimits(min_side=1))
    progress: Progress = lambda done, total: None
    sleep: Callable[[float], None] = time.sleep


@dataclass
class FetchReport:
    """What came of every label file, by the file's path; each is in one of the five lists."""

    fetched: list[str] = field(default_factory=list)
    already_there: list[str] = field(default_factory=list)
    unlabelled: list[str] = field(default_factory=list)  # empty, and nobody has seen the image
    ambiguous: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    not_images: dict[str, str] = field(default_factory=dict)
    lines: dict[str, Sequence[str]] = field(default_factory=dict)  # changed or left out
    withdrawn: list[str] = field(default_factory=list)  # images that were in the folder's set
    renamed: dict[str, str] = field(default_factory=dict)
    empty: int = 0  # label files without a box, among those fetched
    notes: list[str] = field(default_factory=list)

    @property
    def is_complete(self) -> bool:
        return not (self.ambiguous or self.missing or self.not_images)

    def to_json(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False, indent=1)
