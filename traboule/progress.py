"""What a run has done so far: the catalog as it is now, less what it was when the run began."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from pipeline.catalog import Catalog
from pipeline.catalog.cameras import camera_of
from pipeline.catalog.images import ImageFilter
from pipeline.catalog.tables import CameraRow
from pipeline.records import FACE, FAILURES, VEHICLES, ImageState, Outcome
from traboule.health import Health, Lag, judge, measure_lag
from traboule.printing import by_count

WAITING = (ImageState.STORING, ImageState.STORED, ImageState.AWAITING_MODEL)
MOVING = "moving-object"
Totals = Mapping[str, Mapping[str, int]]  # source to outcome, label or state to count


@dataclass(frozen=True)
class CameraProgress:
    """One camera in this run: how its polls ended, and what was found in its images."""

    id: str
    name: str
    health: Health
    reason: str
    polling: bool
    lag: Lag | None
    outcomes: Mapping[str, int] = field(default_factory=dict)
    labels: Mapping[str, int] = field(default_factory=dict)

    @property
    def polls(self) -> int:
        return sum(self.outcomes.values())

    @property
    def kept(self) -> int:
        return self.outcomes.get(Outcome.KEPT, 0)

    @property
    def dropped(self) -> dict[str, int]:
        """Reason to count, the most frequent first."""
        others = {name: n for name, n in self.outcomes.items() if name != Outcome.KEPT}
        return by_count(others)

    @property
    def failed(self) -> int:
        return sum(self.outcomes.get(outcome, 0) for outcome in FAILURES)

    @property
    def faces(self) -> int:
        return self.labels.get(FACE, 0)

    @property
    def vehicles(self) -> int:
        return sum(self.labels.get(label, 0) for label in VEHICLES)

    @property
    def moving(self) -> int:
        return self.labels.get(MOVING, 0)


@dataclass(frozen=True)
class Progress:
    """`states` counts the images by state, whenever they came; `paused` the cameras left out."""

    cameras: tuple[CameraProgress, ...]
    states: Mapping[str, int]
    paused: int = 0

    @property
    def outcomes(self) -> Mapping[str, int]:
        return _add(camera.outcomes for camera in self.cameras)

    @property
    def labels(self) -> Mapping[str, int]:
        return _add(camera.labels for camera in self.cameras)

    @property
    def under_way(self) -> int:
        """Polls that have not ended, and images that nothing but time keeps from detection."""
        images = (self.states.get(state, 0) for state in (ImageState.STORING, ImageState.STORED))
        return sum(camera.polling for camera in self.cameras) + sum(images)


@dataclass(frozen=True)
class Earlier:
    """What was there when the run began; `waiting` holds the ids of images without a result."""

    kept: int
    waiting: frozenset[str]


class Meter:
    """Reads the progress of a run that begins when the meter is made, or of all there ever was.

    Every read raises TransientError when the catalog does not answer.
    """

    def __init__(
        self, catalog: Catalog, clock: Callable[[], datetime], *, of_all: bool = False
    ) -> None:
        self._catalog, self._clock = catalog, clock
        self._outcomes: Totals = {} if of_all else catalog.counters.totals()
        self._labels: Totals = {} if of_all else catalog.images.count_labels()
        detected = sum(
            states.get(ImageState.DETECTED, 0)
            for states in catalog.images.count_by_state().values()
        )
        waiting = self._find_waiting()
        self.earlier = Earlier(kept=detected + len(waiting), waiting=waiting)

    def read(self) -> Progress:
        rows = self._catalog.cameras.all()
        outcomes, labels = self._catalog.counters.totals(), self._catalog.images.count_labels()
        cameras = (
            self._describe(row, outcomes.get(row.id, {}), labels.get(row.id, {})) for row in rows
        )
        shown = tuple(one for one in cameras if one.health is not Health.PAUSED or one.polls)
        states = _add(self._catalog.images.count_by_state().values())
        return Progress(shown, states, paused=len(rows) - len(shown))

    def count_finished(self) -> int:
        """How many of the images that waited when the run began wait no more."""
        return len(self.earlier.waiting - self._find_waiting())

    def _describe(
        self, row: CameraRow, outcomes: Mapping[str, int], labels: Mapping[str, int]
    ) -> CameraProgress:
        camera = camera_of(row)
        return CameraProgress(
            id=row.id,
            name=camera.name,
            health=judge(row),
            reason=row.reason,
            polling=row.lease_token is not None,
            lag=measure_lag(row, camera.every_s, self._clock()),
            outcomes=_subtract(outcomes, self._outcomes.get(row.id, {})),
            labels=_subtract(labels, self._labels.get(row.id, {})),
        )

    def _find_waiting(self) -> frozenset[str]:
        rows = self._catalog.images.search(ImageFilter(states=WAITING, limit=None))
        return frozenset(row.id for row in rows)


def _add(counted: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total = Counter[str]()
    for one in counted:
        total.update(one)
    return by_count(total)


def _subtract(now: Mapping[str, int], then: Mapping[str, int]) -> dict[str, int]:
    """What is more than it was; deleting images makes it less."""
    return {name: n - then.get(name, 0) for name, n in now.items() if n > then.get(name, 0)}
