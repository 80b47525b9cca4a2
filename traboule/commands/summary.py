"""`traboule summary`: what the pipeline has done so far, once it has done that much."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.addresses import hide_secrets
from pipeline.errors import UserError
from traboule.access import existing_data
from traboule.options import DataOption, parse_seconds

if TYPE_CHECKING:
    from traboule.progress import Meter
    from traboule.workspace import Workspace

INTERRUPTED = 130


def summarise(
    wait: Annotated[
        int | None,
        typer.Option("--wait", min=1, metavar="N", help="First wait for N detected images."),
    ] = None,
    timeout: Annotated[
        str, typer.Option("--timeout", metavar="TIME", help="How long to wait: 90s, 10m.")
    ] = "5m",
    data: DataOption = None,
) -> None:
    """What came of every poll so far, and what was found; as a run tells it at its end."""
    timeout_s = parse_seconds(timeout, "--timeout")
    from pipeline.cadence import utc_now
    from traboule.printing import make_console
    from traboule.progress import Meter
    from traboule.summary import Summary, print_summary

    with existing_data(data) as workspace:
        meter = Meter(workspace.catalog, utc_now, of_all=True)
        was_stopped = wait is not None and _wait(workspace, meter, wait, timeout_s)
        progress, folder = meter.read(), workspace.data
    print_summary(make_console(), Summary(progress, folder))
    if was_stopped:
        raise typer.Exit(INTERRUPTED)
    detected = progress.states.get("detected", 0)
    if wait is not None and detected < wait:
        raise UserError(
            f"{detected} of {wait} images were detected within {timeout}; see: traboule doctor"
        )


def _wait(workspace: Workspace, meter: Meter, number: int, timeout_s: float) -> bool:
    """Whether somebody pressed Ctrl-C."""
    from pipeline.stopping import stop_asked
    from traboule.live import make_display
    from traboule.printing import make_console
    from traboule.watch import Watch

    where = str(workspace.data or hide_secrets(workspace.settings.store_url))
    watch = Watch(meter, make_display(make_console(), where))
    with stop_asked() as stop, watch.display:
        watch.until_detected(stop, number, timeout_s)
    return stop.is_set()
