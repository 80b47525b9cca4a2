from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from pipeline.cadence import utc_now
from pipeline.catalog.images import ImageFilter
from pipeline.errors import CatalogError
from tests.factories import Wanted, make_camera, make_image
from traboule import watch as watching
from traboule.live import Phase, PlainLines
from traboule.printing import make_console
from traboule.progress import Meter, Progress
from traboule.watch import Watch, stop_asked
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


@pytest.fixture
def board() -> Board:
    return Board()


@pytest.fixture
def watch(workspace: Workspace, board: Board, monkeypatch: pytest.MonkeyPatch) -> Watch:
    monkeypatch.setattr(watching, "LOOK_EVERY_S", 0.02)
    monkeypatch.setattr(watching, "DRAIN_FOR_S", 0.4)
    return Watch(Meter(workspace.catalog, utc_now), board)


def test_watch_ends_when_the_time_is_up(watch: Watch, board: Board) -> None:
    began = time.monotonic()
    watch.until_time_is_up(threading.Event(), 0.5)
    assert 0.5 <= time.monotonic() - began < 1.5
    shares = [phase.share or 0.0 for phase, _ in board.shown]
    assert shares == sorted(shares)
    assert 0 < shares[0] < shares[-1] < 1


def test_watch_without_an_end_runs_until_it_is_stopped(watch: Watch, board: Board) -> None:
    stop = threading.Event()
    timer = threading.Timer(0.3, stop.set)
    timer.start()
    watch.until_time_is_up(stop, None)
    timer.join()
    assert board.shown[0][0] == Phase("0:00, until Ctrl-C")


def test_watch_does_not_wait_where_nothing_is_under_way(watch: Watch, board: Board) -> None:
    watch.until_idle(threading.Event())
    assert len(board.shown) == 1


def test_watch_waits_a_while_for_what_is_under_way(
    watch: Watch, board: Board, workspace: Workspace
) -> None:
    make_camera(workspace)
    make_image(workspace, Wanted(state="stored"))
    began = time.monotonic()
    watch.until_idle(threading.Event())
    assert 0.4 <= time.monotonic() - began < 2
    assert {progress.under_way for _, progress in board.shown} == {1}


def test_watch_does_not_wait_when_asked_again(watch: Watch, workspace: Workspace) -> None:
    make_image(workspace, Wanted(state="stored"))
    stop = threading.Event()
    stop.set()
    began = time.monotonic()
    watch.until_idle(stop)
    assert time.monotonic() - began < 0.3


def test_watch_waits_until_so_many_are_detected(
    workspace: Workspace, board: Board, watch: Watch
) -> None:
    make_image(workspace, Wanted())
    timer = threading.Timer(0.2, make_image, [workspace, Wanted(camera="pont")])
    timer.start()
    watch.until_detected(threading.Event(), 2, timeout_s=20)
    timer.join()
    assert {phase for phase, _ in board.shown} == {Phase("1 of 2 images detected", 0.5)}
    assert workspace.catalog.images.count(ImageFilter()) == 2


def test_watch_waits_for_no_more_than_it_was_told(board: Board, watch: Watch) -> None:
    began = time.monotonic()
    watch.until_detected(threading.Event(), 2, timeout_s=0.3)
    assert 0.3 <= time.monotonic() - began < 2
    stop = threading.Event()
    stop.set()
    watch.until_detected(stop, 2, timeout_s=60)
    assert time.monotonic() - began < 2


def test_watch_outlives_a_catalog_that_does_not_answer(workspace: Workspace, board: Board) -> None:
    watch = Watch(DeafMeter(workspace.catalog, utc_now), board)
    assert watch.look(Phase("running")) is None
    assert board.shown == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_ask_to_stop_and_mean_what_they_did_afterwards(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with stop_asked() as stop:
        assert not stop.is_set()
        os.kill(os.getpid(), number)
        assert stop.wait(2)
    assert signal.getsignal(number) is before
