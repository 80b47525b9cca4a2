"""What `traboule run` does, in order: prepare, run while there is time, finish, tell."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from pipeline.cadence import utc_now
from pipeline.catalog.images import ImageFilter
from pipeline.errors import TransientError, UserError
from pipeline.logs import get_logger, start_logs
from services.detection.settings import DetectionSettings
from services.simulation.city import City
from services.simulation.server import serve
from traboule.embedded import EmbeddedPipeline
from traboule.equipment import equip
from traboule.lineup import REFRESH_S, choose_cameras, save_simulated
from traboule.live import Display, Phase, make_display
from traboule.printing import make_console
from traboule.progress import Meter, Progress
from traboule.sheet import make_sheet, write_sheet
from traboule.summary import Summary, print_line, print_summary
from traboule.workspace import SHEET_NAME, Workspace, find_settings, locked, open_workspace

LOOK_EVERY_S = 0.4
DRAIN_FOR_S = 10.0

log = get_logger(__name__)


@dataclass(frozen=True)
class Wanted:
    """What the person asked for; None: without an end, and whichever cameras can be reached."""

    for_s: float | None
    simulate: int | None


def run(data: Path | None, wanted: Wanted) -> Path:
    """Run the pipeline and give the contact sheet's path. UserError when it cannot begin."""
    folder, _ = find_settings(data)
    if folder is None:
        raise UserError("`run` keeps everything in one folder: name it with --data")
    console = make_console()
    with locked(folder, "run the pipeline"):
        start_logs(folder / "logs" / "traboule.log")
        logging.raiseExceptions = False  # a full disk has no room for the log either
        with closing(open_workspace(folder)) as workspace:
            return _run_locked(workspace, folder, wanted, console)


def _run_locked(workspace: Workspace, folder: Path, wanted: Wanted, console: Console) -> Path:
    lineup = choose_cameras(workspace, wanted.simulate)
    console.print(lineup.told, soft_wrap=True)
    equipment = equip(DetectionSettings(), console)
    console.print(equipment.describe(), soft_wrap=True)
    with serve(City(lineup.simulated, refresh_s=REFRESH_S)) as server:
        save_simulated(workspace, server, equipment.detectors)
        meter = Meter(workspace.catalog, utc_now)
        watch = Watch(meter, make_display(console, str(folder)))
        lasted_s = _run_pipeline(workspace, watch, wanted.for_s)
    summary = Summary(
        progress=meter.read(),
        lasted_s=lasted_s,
        kept_before=meter.earlier.kept,
        finished=meter.count_finished(),
        data=folder,
    )
    print_summary(console, summary)
    sheet = make_sheet(workspace.catalog, workspace.store, ImageFilter(limit=None))
    path = write_sheet(sheet, folder / SHEET_NAME)
    print_line(console, "Contact sheet", str(path))
    return path


def _run_pipeline(workspace: Workspace, watch: Watch, for_s: float | None) -> float:
    """How long it polled, in seconds."""
    with stop_asked() as stop, watch.display, EmbeddedPipeline(workspace.settings) as pipeline:
        began = time.monotonic()
        watch.until_time_is_up(stop, for_s)
        lasted_s = time.monotonic() - began
        stop.clear()  # asked again, it does not wait
        pipeline.stop_polling()
        watch.until_idle(stop)
        watch.look(Phase("stopping …"))
    return lasted_s


class Watch:
    """Looks at the run every so often, and shows what it sees."""

    def __init__(self, meter: Meter, display: Display) -> None:
        self._meter, self.display = meter, display
        self._pause_s = LOOK_EVERY_S

    def until_time_is_up(self, stop: threading.Event, for_s: float | None) -> None:
        began = time.monotonic()
        while not stop.wait(self._pause_s):
            past_s = time.monotonic() - began
            if for_s is None:
                self.look(Phase(f"{_clock(past_s)}, until Ctrl-C"))
            elif past_s < for_s:
                self.look(Phase(f"{_clock(for_s - past_s)} left", past_s / for_s))
                self._pause_s = min(self._pause_s, max(0.0, began + for_s - time.monotonic()))
            else:
                return

    def until_idle(self, stop: threading.Event) -> None:
        """Until no poll is under way and no image waits for detection; ten seconds at most."""
        ends_at = time.monotonic() + DRAIN_FOR_S
        while time.monotonic() < ends_at:
            progress = self.look(Phase("finishing what is under way …"))
            if (progress is not None and not progress.under_way) or stop.wait(self._pause_s):
                return

    def look(self, phase: Phase) -> Progress | None:
        """The longer the catalog takes, the more seldom it is asked."""
        began = time.monotonic()
        try:
            progress = self._meter.read()
        except TransientError as error:
            log.warning("progress not read", reason=str(error))
            return None
        self._pause_s = max(LOOK_EVERY_S, 10 * (time.monotonic() - began))
        self.display.show(progress, phase)
        return progress


@contextmanager
def stop_asked() -> Iterator[threading.Event]:
    """An event that Ctrl-C and a request to terminate set."""
    stop = threading.Event()
    before = {
        number: signal.signal(number, lambda *_: stop.set())
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
