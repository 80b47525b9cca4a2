"""`traboule status`: how everything stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from traboule.access import existing_data
from traboule.durations import format_seconds
from traboule.options import DataOption, JsonOption
from traboule.printing import Column, print_json, print_records, show

if TYPE_CHECKING:
    from traboule.status import CameraStatus, Status

LISTED = (
    Column("id", "camera", whole=True),
    Column("health"),
    Column("outcome", "last poll"),
    Column("lag", "lag", align="right"),
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
    none = "no cameras yet; add some: traboule cameras discover grandlyon"
    records = [_describe(camera) for camera in status.cameras]
    print_records(records, LISTED, as_json=False, none=none)
    for line in _tell(status):
        typer.echo(line)


def _describe(camera: CameraStatus) -> dict[str, object]:
    return {
        "id": camera.id,
        "health": camera.health.value,
        "outcome": camera.outcome,
        "lag": _show_lag(camera),
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
    """In a unit that fits, beside how often the camera is polled."""
    if camera.lag_s is None or camera.health.value == "paused":
        return ""
    every = format_seconds(camera.every_s)
    for size_s, unit in ((86_400, "d"), (3600, "h"), (60, "m")):
        if camera.lag_s >= 2 * size_s:
            return f"{camera.lag_s / size_s:.0f}{unit} of {every}"
    return f"{camera.lag_s:.0f}s of {every}"


def _tell(status: Status) -> list[str]:
    lines = ["", f"at work: {status.live}" if status.live else "no run is at work"]
    counted = (f"{number} {STAGES[state]}" for state, number in status.images.items() if number)
    lines.append(f"images: {', '.join(counted) or 'none yet'}")
    for state, reasons in status.reasons.items():
        lines += [f"  {number} {STAGES[state]}: {show(why)}" for why, number in reasons.items()]
    if status.frames_late and status.frames_expire_at:
        at = f"{status.frames_expire_at.astimezone():%H:%M}"
        lines.append(f"{status.frames_late} raw frames are near their end: the first goes at {at}")
    return lines
