from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime

import pytest

from pipeline.cadence import utc_now
from pipeline.catalog import Catalog
from pipeline.errors import CatalogError
from tests.factories import Wanted, make_camera, make_image
from tests.unit.traboule.conftest import Clock
from traboule import watch as watching
from traboule.live import Phase, PlainLines
from traboule.printing import make_console
from traboule.progress import Meter, Progress
from traboule.watch import Watch
from traboule.workspace import Workspace


class Board(PlainLines):
    """A display that keeps what it is shown."""

    def __init__(self) -> None:
        super().__init__(make_console())
        self.shown: list[tuple[Phase, Progress]] = []

    def show(self, progress: Progress, phase: Phase) -> None:
        self.shown.append((phase, progress))


class DeafMeter(Meter):
    """The catalog does not answer."""

    def read(self) -> Progress:
        raise CatalogError("disk is full")


class SlowMeter(Meter):
    READS_FOR_S = 3.0

    def __init__(self, catalog: Catalog, utc: Callable[[], datetime], clock: Clock) -> None:
        super().__init__(catalog, utc)
        self._pass_time = clock.sleep

    def read(self) -> Progress:
        self._pass_time(self.READS_FOR_S)
        return super().read()


@pytest.fixture
def board() -> Board:
    return Board()


class Stop(threading.Event):
    """Its pauses take up the clock's time alone; after each one something happens."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.happening: list[Callable[[], object]] = []
        self._clock = clock

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        if not self.is_set():
            self._clock.sleep(timeout)
            if self.happening:
                self.happening.pop(0)()
        return self.is_set()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(watching, "time", made)
    return made


@pytest.fixture
def stop(clock: Clock) -> Stop:
    return Stop(clock)


@pytest.fixture
def watch(workspace: Workspace, board: Board, clock: Clock) -> Watch:
    return Watch(Meter(workspace.catalog, utc_now), board)


def test_watch_ends_when_the_time_is_up(
    watch: Watch, board: Board, stop: Stop, clock: Clock
) -> None:
    watch.until_time_is_up(stop, 1.0)
    assert clock.now_s == pytest.approx(1.0)
    assert [phase.share for phase, _ in board.shown] == pytest.approx([0.4, 0.8])


def test_watch_without_an_end_runs_until_it_is_stopped(
    watch: Watch, board: Board, stop: Stop
) -> None:
    stop.happening = [lambda: None, lambda: None, stop.set]
    watch.until_time_is_up(stop, None)
    assert [phase.words for phase, _ in board.shown] == ["0:00, until Ctrl-C", "0:01, until Ctrl-C"]


def test_watch_does_not_wait_where_nothing_is_under_way(
    watch: Watch, board: Board, stop: Stop, clock: Clock
) -> None:
    watch.until_idle(stop)
    assert (len(board.shown), clock.now_s) == (1, 0)


def test_watch_waits_a_while_for_what_is_under_way(
    watch: Watch, board: Board, workspace: Workspace, stop: Stop, clock: Clock
) -> None:
    make_camera(workspace)
    make_image(workspace, Wanted(state="stored"))
    watch.until_idle(stop)
    assert clock.now_s == pytest.approx(watching.DRAIN_FOR_S)
    assert {progress.under_way for _, progress in board.shown} == {1}


def test_watch_does_not_wait_when_asked_again(
    watch: Watch, workspace: Workspace, stop: Stop, clock: Clock
) -> None:
    make_image(workspace, Wanted(state="stored"))
    stop.set()
    watch.until_idle(stop)
    assert clock.now_s == 0


def test_watch_of_a_slow_catalog_waits_no_longer_for_it(
    workspace: Workspace, board: Board, stop: Stop, clock: Clock
) -> None:
    make_image(workspace, Wanted(state="stored"))
    Watch(SlowMeter(workspace.catalog, utc_now, clock), board).until_idle(stop)
    assert clock.now_s == pytest.approx(watching.DRAIN_FOR_S + SlowMeter.READS_FOR_S)


def test_watch_waits_until_so_many_are_detected(
    workspace: Workspace, board: Board, watch: Watch, stop: Stop
) -> None:
    make_image(workspace, Wanted())
    stop.happening = [lambda: make_image(workspace, Wanted(camera="pont"))]
    watch.until_detected(stop, 2, timeout_s=20)
    assert [phase for phase, _ in board.shown] == [Phase("1 of 2 images detected", 0.5)]
    assert stop.happening == []


def test_watch_waits_for_no_more_than_it_was_told(watch: Watch, stop: Stop, clock: Clock) -> None:
    watch.until_detected(stop, 2, timeout_s=3)
    assert clock.now_s == pytest.approx(3)
    stop.set()
    watch.until_detected(stop, 2, timeout_s=60)
    assert clock.now_s == pytest.approx(3)


def test_watch_looks_once_however_short_the_time(board: Board, watch: Watch, stop: Stop) -> None:
    watch.until_detected(stop, 2, timeout_s=0)
    assert [phase.words for phase, _ in board.shown] == ["0 of 2 images detected"]


def test_watch_outlives_a_catalog_that_does_not_answer(workspace: Workspace, board: Board) -> None:
    watch = Watch(DeafMeter(workspace.catalog, utc_now), board)
    assert watch.look(Phase("running")) is None
    assert board.shown == []
