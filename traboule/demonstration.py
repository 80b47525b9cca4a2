"""What `traboule run` does, in order: prepare, run while there is time, finish, tell."""

from __future__ import annotations

import logging
import time
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from pipeline.cadence import utc_now
from pipeline.catalog.images import ImageFilter
from pipeline.errors import UserError
from pipeline.logs import start_logs
from pipeline.stopping import stop_asked
from services.detection.settings import DetectionSettings
from services.labeling.settings import LabelingSettings
from services.simulation.city import City
from services.simulation.server import serve
from traboule.embedded import EmbeddedPipeline
from traboule.equipment import equip
from traboule.labels.connection import find_labeling
from traboule.labels.image_service import ImageService
from traboule.labels.state import read_state
from traboule.labels.telling import tell_briefly
from traboule.lineup import REFRESH_S, choose_cameras, save_simulated
from traboule.live import Phase, make_display
from traboule.printing import make_console
from traboule.progress import Meter
from traboule.sheet import make_sheet, write_sheet
from traboule.summary import Summary, print_line, print_summary
from traboule.watch import Watch
from traboule.workspace import SHEET_NAME, Workspace, find_settings, locked, open_workspace


@dataclass(frozen=True)
class Wanted:
    """What the person asked for; None: without an end, and whichever cameras can be reached."""

    for_s: float | None
    simulate: int | None


def run(data: Path | None, wanted: Wanted) -> Path:
    """Run the pipeline and give the contact sheet's path. UserError when it cannot begin."""
    folder, _ = find_settings(data)
    if folder is None:
        raise UserError(
            "`run` needs a folder, and the environment names servers (PIPELINE_…): start the "
            "services with docker compose up, or name a folder with --data"
        )
    console = make_console()
    with locked(folder, "run the pipeline"):
        start_logs(folder / "logs" / "traboule.log")
        logging.raiseExceptions = False  # a full disk has no room for the log either
        with closing(open_workspace(folder)) as workspace:
            return _run_locked(workspace, folder, wanted, console)


def _run_locked(workspace: Workspace, folder: Path, wanted: Wanted, console: Console) -> Path:
    for_labeling = find_labeling(folder)
    lineup = choose_cameras(workspace, wanted.simulate)
    console.print(lineup.told, soft_wrap=True)
    if for_labeling is not None:
        told = f"Labeling: {for_labeling.url}, project {for_labeling.project!r}."
        console.print(told, soft_wrap=True)
    equipment = equip(DetectionSettings(), console)
    console.print(equipment.describe(), soft_wrap=True)
    with serve(City(lineup.simulated, refresh_s=REFRESH_S)) as server:
        save_simulated(workspace, server, equipment.detectors)
        meter = Meter(workspace.catalog, utc_now)
        watch = Watch(meter, make_display(console, str(folder)))
        pipeline = EmbeddedPipeline(workspace.settings, for_labeling)
        with _showing_images(workspace, folder, for_labeling, pipeline):
            lasted_s = _run_pipeline(pipeline, watch, wanted.for_s)
    summary = Summary(
        progress=meter.read(),
        lasted_s=lasted_s,
        kept_before=meter.earlier.kept,
        finished=meter.count_finished(),
        data=folder,
    )
    print_summary(console, summary)
    if (state := read_state(workspace)) is not None:
        print_line(console, "Labeling", tell_briefly(state))
    sheet = make_sheet(workspace.catalog, workspace.store, ImageFilter(limit=None))
    path = write_sheet(sheet, folder / SHEET_NAME)
    print_line(console, "Contact sheet", str(path))
    return path


def _showing_images(
    workspace: Workspace,
    folder: Path,
    for_labeling: LabelingSettings | None,
    pipeline: EmbeddedPipeline,
) -> AbstractContextManager[object]:
    """To whoever labels them meanwhile."""
    if for_labeling is None:
        return nullcontext()
    return ImageService(folder, for_labeling, workspace.store, pipeline.publish)


def _run_pipeline(pipeline: EmbeddedPipeline, watch: Watch, for_s: float | None) -> float:
    """How long it polled, in seconds."""
    with stop_asked() as stop, watch.display, pipeline:
        began = time.monotonic()
        watch.until_time_is_up(stop, for_s)
        lasted_s = time.monotonic() - began
        stop.clear()  # asked again, it does not wait
        pipeline.stop_polling()
        watch.until_idle(stop)
        watch.look(Phase("stopping …"))
    return lasted_s
