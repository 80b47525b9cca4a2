"""`traboule cameras …`: which cameras are polled, and how."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.addresses import hide_secrets
from pipeline.errors import UserError
from pipeline.records import Camera, Policy
from traboule.access import any_data, existing_data
from traboule.advice import advise
from traboule.durations import format_seconds
from traboule.new_camera import (
    AttributionOption,
    DetectorsOption,
    DistanceOption,
    EveryOption,
    KeepTruncatedOption,
    LicenceOption,
    NameOption,
    NewIdArgument,
    PolicyOption,
    UrlArgument,
    check_detectors,
    check_id,
    check_interval,
    check_url,
)
from traboule.options import DataOption, JsonOption, YesOption
from traboule.printing import Column, print_fields, print_records
from traboule.questions import confirm

if TYPE_CHECKING:
    from pipeline.catalog.tables import CameraRow

DISCOVERED = (
    Column("id", whole=True),
    Column("change"),
    Column("name"),
    Column("url", wide=True),
)
LISTED = (
    Column("id", whole=True),
    Column("name"),
    Column(
        "every_s", "every", align="right", value=lambda camera: format_seconds(camera["every_s"])
    ),
    Column("policy"),
    Column("paused"),
    Column("detectors", wide=True),
    Column("outcome"),
    Column("time", "last poll"),
    Column("due", wide=True),
)

app = typer.Typer(help="Which cameras are polled, and how.", no_args_is_help=True)

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The camera's id.")]


@app.command()
def discover(
    feed: Annotated[str, typer.Argument(metavar="FEED", help="A public list: grandlyon.")],
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, metavar="N", help="The first N alone.")
    ] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add a feed's cameras; those known already keep your settings."""
    from traboule.discovery import Change, find_cameras, take_up

    found = find_cameras(feed)[:limit]
    with any_data(data) as workspace:
        discovered = take_up(workspace, found)
    records = [
        {
            "id": one.camera.id,
            "name": one.camera.name,
            "feed": one.camera.feed,
            "url": hide_secrets(one.camera.url),
            "change": one.change.value,
        }
        for one in discovered
    ]
    print_records(records, DISCOVERED, as_json=as_json, none=f"{feed} lists no camera")
    changes = [one.change for one in discovered]
    typer.echo(
        f"{changes.count(Change.ADDED)} added, {changes.count(Change.UPDATED)} updated, "
        f"{len(found)} found",
        err=True,
    )


@app.command("list")
def list_cameras(data: DataOption = None, as_json: JsonOption = False) -> None:
    """The cameras, and how their last polls ended."""
    with existing_data(data) as workspace:
        records = [_describe(row) for row in workspace.catalog.cameras.all()]
        advice = advise(composed=workspace.is_composed)
    none = f"no cameras yet; {advice.find_cameras}"
    print_records(records, LISTED, as_json=as_json, none=none)


@app.command()
def add(
    camera_id: NewIdArgument,
    url: UrlArgument,
    every: EveryOption = "60s",
    policy: PolicyOption = Policy.ANONYMISE,
    name: NameOption = "",
    licence: LicenceOption = "",
    attribution: AttributionOption = "",
    detectors: DetectorsOption = "yunet,yolox-nano",
    near_duplicate_distance: DistanceOption = 3,
    keep_truncated: KeepTruncatedOption = False,
    data: DataOption = None,
) -> None:
    """Add a camera; a pipeline that runs polls it within seconds."""
    from traboule.commander import find_commander

    camera = Camera(
        id=check_id(camera_id),
        url=check_url(url),
        name=name,
        every_s=check_interval(every),
        policy=policy,
        licence=licence,
        attribution=attribution,
        detectors=check_detectors(detectors),
        near_duplicate_distance=near_duplicate_distance,
        keep_truncated=keep_truncated,
    )
    with any_data(data) as workspace:
        if workspace.catalog.cameras.get(camera.id) is not None:
            raise UserError(
                f"there is a camera {camera.id!r} already; remove it first, or choose another id"
            )
        find_commander(workspace).save_cameras([camera])
    typer.echo(f"added {camera.id}: every {format_seconds(camera.every_s)}, {camera.policy.value}")


@app.command()
def pause(camera_id: IdArgument, data: DataOption = None) -> None:
    """Stop polling a camera; its images stay."""
    _set_paused(data, camera_id, True)


@app.command()
def resume(camera_id: IdArgument, data: DataOption = None) -> None:
    """Poll a paused camera again."""
    _set_paused(data, camera_id, False)


@app.command()
def remove(camera_id: IdArgument, yes: YesOption = False, data: DataOption = None) -> None:
    """Forget a camera; its images stay."""
    from services.scheduler.sources import get_camera
    from traboule.commander import find_commander

    with existing_data(data) as workspace:
        get_camera(workspace.catalog, camera_id)
        confirm(f"Forget {camera_id}? Its images stay.", yes=yes)
        find_commander(workspace).remove_camera(camera_id)
    typer.echo(f"removed {camera_id}; its images stay: traboule images list --camera {camera_id}")


@app.command("try")
def try_one(camera_id: IdArgument, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Poll a camera once and say what would become of its image; nothing is saved."""
    from services.scheduler.sources import get_camera
    from traboule.trial import has_failed, try_camera

    with existing_data(data) as workspace:
        trial = try_camera(workspace, get_camera(workspace.catalog, camera_id))
    print_fields(trial, as_json=as_json)
    if has_failed(trial):
        raise typer.Exit(1)


def _set_paused(data: Path | None, camera_id: str, paused: bool) -> None:
    from services.scheduler.sources import get_camera
    from traboule.commander import find_commander

    word = "paused" if paused else "polled"
    with existing_data(data) as workspace:
        camera = get_camera(workspace.catalog, camera_id)
        if camera.paused == paused:
            typer.echo(f"{camera_id} is {word} already")
            return
        find_commander(workspace).save_cameras([camera.model_copy(update={"paused": paused})])
    typer.echo(f"{camera_id} is {word} from now on")


def _describe(row: CameraRow) -> dict[str, object]:
    camera = Camera.model_validate(row.record)
    return {
        "id": camera.id,
        "name": camera.name,
        "feed": camera.feed,
        "url": hide_secrets(camera.url),
        "every_s": camera.every_s,
        "policy": camera.policy.value,
        "paused": camera.paused,
        "detectors": list(camera.detectors),
        "near_duplicate_distance": camera.near_duplicate_distance,
        "keep_truncated": camera.keep_truncated,
        "licence": camera.licence,
        "attribution": camera.attribution,
        "outcome": row.outcome,
        "reason": row.reason,
        "time": row.polled_at,
        "kept_at": row.kept_at,
        "due": None if camera.paused else row.due_at,
        "polls": row.polls,
        "failures": row.failures,
    }
