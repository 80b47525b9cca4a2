"""`traboule status`: how everything stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from traboule.access import existing_data
from traboule.advice import advise, fit
from traboule.durations import format_roughly, format_seconds
from traboule.options import DataOption, JsonOption
from traboule.printing import Column, print_json, print_records, show

if TYPE_CHECKING:
    from datetime import datetime

    from traboule.status import CameraStatus, Status

LISTED = (
    Column("id", "camera", whole=True),
    Column("health"),
    Column("outcome"),
    Column("lag", "last poll", align="right"),
    Column("images", align="right"),
    Column("kept_at", "last kept", whole=True, wide=True),
    Column("told", "remark"),
)
STAGES = {
    "storing": "being stored",
    "stored": "waiting for detection",
    "awaiting-model": "awaiting a model",
    "quarantined": "quarantined",
    "detected": "detected",
    "dropped": "near-duplicates that can be restored",
    "expired": "expired undetected",
}


def show_status(data: DataOption = None, as_json: JsonOption = False) -> None:
    """How each camera is doing, what waits at each stage, and whether a run is at work."""
    from dataclasses import asdict

    from pipeline.cadence import utc_now
    from traboule.status import read_status

    with existing_data(data) as workspace:
        now = utc_now()
        status, folder = read_status(workspace, now), workspace.data
    if as_json:
        print_json({"time": now, "data": str(folder) if folder else None, **asdict(status)})
        return
    advice = advise(composed=folder is None)
    is_idle = folder is not None and status.live is None
    if is_idle:
        typer.echo("no run is at work: nothing is polled (begin one: traboule run)\n")
    elif trouble := status.polling.trouble:
        typer.echo(f"{trouble}; see: {advice.traboule} doctor\n")
    none = f"no cameras yet; {advice.find_cameras}"
    records = [_describe(camera, is_idle=is_idle) for camera in status.cameras]
    print_records(records, LISTED, as_json=False, none=none)
    for line in _tell(status, now):
        typer.echo(fit(line))


def _describe(camera: CameraStatus, *, is_idle: bool) -> dict[str, object]:
    return {
        "id": camera.id,
        "health": camera.health.value,
        "outcome": camera.outcome,
        "lag": _show_age(camera) if is_idle else _show_lag(camera),
        "images": camera.images,
        "kept_at": camera.kept_at,
        "told": _remark(camera),
    }


def _remark(camera: CameraStatus) -> str:
    if camera.since is None or camera.until is None:
        return "" if camera.health.value in ("ok", "paused") else camera.reason
    since, until = (f"{at.astimezone():%H:%M:%S}" for at in (camera.since, camera.until))
    return f"failing since {since}, tried again at {until}: {camera.reason}"


def _show_lag(camera: CameraStatus) -> str:
    """How long ago the last poll was, beside how often the camera is polled."""
    if camera.lag_s is None or camera.health.value == "paused":
        return ""
    return f"{format_roughly(camera.lag_s)} of {format_seconds(camera.every_s)}"


def _show_age(camera: CameraStatus) -> str:
    """Without a run the interval says nothing."""
    return "" if camera.lag_s is None else f"{format_roughly(camera.lag_s)} ago"


def _tell(status: Status, now: datetime) -> list[str]:
    from traboule.labels.telling import tell_briefly

    lines = ["", f"at work: {status.live}"] if status.live else [""]
    lines += [f"feed {feed.id}: {show(feed.tell(now))}" for feed in status.feeds]
    if status.polling.last_s is not None:
        lines.append(f"last poll: {format_roughly(status.polling.last_s)} ago")
    counted = (f"{number} {STAGES[state]}" for state, number in status.images.items() if number)
    lines.append(f"images: {', '.join(counted) or 'none yet'}")
    if status.waits_s is not None:
        lines.append(f"  the first has waited {format_roughly(status.waits_s)} for detection")
    for state, reasons in status.reasons.items():
        lines += [f"  {number} {STAGES[state]}: {show(why)}" for why, number in reasons.items()]
    if status.labeling is not None:
        lines.append(f"labeling: {tell_briefly(status.labeling)}")
    if status.frames_late is None:
        lines.append("the object store does not answer; see: traboule doctor")
    if status.frames_late and status.frames_expire_at:
        at = f"{status.frames_expire_at.astimezone():%H:%M}"
        lines.append(f"{status.frames_late} raw frames are near their end: the first goes at {at}")
    return lines
