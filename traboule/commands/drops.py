"""`traboule drops …`: what was not kept, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.records import Outcome
from traboule.access import check_camera, existing_data
from traboule.options import (
    CameraOption,
    DataOption,
    JsonOption,
    LimitOption,
    SinceOption,
    UntilOption,
    one_of,
)
from traboule.printing import Column, print_json, print_records, show

if TYPE_CHECKING:
    from datetime import datetime

    from pipeline.catalog.counters import Counters
    from pipeline.catalog.drops import DropFilter
    from pipeline.catalog.tables import DropRow

LISTED = (
    Column("id", "image, or camera", whole=True, value=lambda drop: drop["id"] or drop["camera"]),
    Column("time"),
    Column("outcome"),
    Column("reason"),
    Column("resembles", wide=True, whole=True),
    Column(
        "until",
        "kept until",
        wide=True,
        value=lambda drop: (
            f"restored {show(drop['restored_at'])}" if drop["restored_at"] else drop["until"]
        ),
    ),
)

app = typer.Typer(help="What was not kept, and why.", no_args_is_help=True)


@app.command("list")
def list_drops(  # one for each option
    camera: CameraOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    outcome: Annotated[
        Outcome | None,
        typer.Option(
            "--outcome", parser=one_of(Outcome), metavar="OUTCOME", help="Why it was not kept."
        ),
    ] = None,
    restorable: Annotated[
        bool, typer.Option("--restorable", help="Only what can be brought back.")
    ] = False,
    limit: LimitOption = 50,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Frames that were not kept and polls that failed, newest first."""
    from pipeline.catalog.cameras import COUNTED_ONLY
    from pipeline.catalog.drops import DropFilter

    wanted = DropFilter(
        camera=camera,
        outcome=None if outcome is None else outcome.value,
        since=since,
        until=until,
        restorable=restorable,
        limit=limit,
    )
    with existing_data(data) as workspace:
        check_camera(workspace, camera)
        if outcome in COUNTED_ONLY:
            _tell_count(workspace.catalog.counters, wanted, as_json=as_json)
            return
        records = [_describe(row) for row in workspace.catalog.drops.search(wanted)]
    print_records(records, LISTED, as_json=as_json, none="no such drops")


@app.command()
def restore(
    image_id: Annotated[str, typer.Argument(metavar="ID", help="The image, from drops list.")],
    data: DataOption = None,
) -> None:
    """Bring a near-duplicate back; the pipeline goes on with it when it runs."""
    from traboule.commander import find_commander

    with existing_data(data) as workspace:
        find_commander(workspace).restore_drop(image_id)
    typer.echo(f"restored {image_id}; it waits for detection")


def _tell_count(counters: Counters, wanted: DropFilter, *, as_json: bool) -> None:
    """Of what is too ordinary for a line each."""
    counted = _count(counters, wanted, wanted.since)
    if wanted.until is not None:
        counted -= _count(counters, wanted, wanted.until)
    if as_json:
        print_json([])
    typer.echo(
        f"{wanted.outcome} is counted by the hour, not listed: {counted} "
        f"poll{'' if counted == 1 else 's'}",
        err=as_json,
    )


def _count(counters: Counters, wanted: DropFilter, since: datetime | None) -> int:
    totals = counters.totals(since)
    return sum(
        outcomes.get(wanted.outcome or "", 0)
        for source, outcomes in totals.items()
        if wanted.camera in (None, source)
    )


def _describe(row: DropRow) -> dict[str, object]:
    return {
        "id": row.image_id,
        "camera": row.source,
        "time": row.at,
        "outcome": row.outcome,
        "reason": row.reason,
        "resembles": row.resembles,
        "until": row.expires_at,
        "restored_at": row.restored_at,
    }
