"""`traboule images …`: what was kept, and everything known of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.errors import UserError
from pipeline.records import KEPT_STATES, ImageState
from traboule.access import check_camera, existing_data
from traboule.advice import fit
from traboule.options import (
    CameraOption,
    DataOption,
    JsonOption,
    LabelOption,
    LimitOption,
    SinceOption,
    UntilOption,
    YesOption,
    one_of,
)
from traboule.printing import Column, by_count, print_json, print_records, print_whole
from traboule.questions import confirm

if TYPE_CHECKING:
    from pipeline.catalog.tables import ImageRow

# Unless a state is asked for: neither near-duplicates, nor what is gone or not yet there.
LISTED = (
    Column("id", whole=True),
    Column("camera", wide=True),
    Column("time"),
    Column("state"),
    Column("faces", align="right", wide=True),
    Column("vehicles", align="right", wide=True),
    Column("labels"),
)

app = typer.Typer(help="What was kept, and everything known of it.", no_args_is_help=True)

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The image's id.")]


@app.command("list")
def list_images(  # one for each option
    camera: CameraOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    label: LabelOption = None,
    state: Annotated[
        ImageState | None,
        typer.Option(
            "--state",
            parser=one_of(ImageState),
            metavar="STATE",
            help="detected, stored, quarantined, …",
        ),
    ] = None,
    limit: LimitOption = 50,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """The images that were kept, newest first."""
    from pipeline.catalog.images import ImageFilter

    states = KEPT_STATES if state is None else (state,)
    wanted = ImageFilter(camera, since, until, label, states, limit)
    with existing_data(data) as workspace:
        check_camera(workspace, camera)
        records = [_describe(row) for row in workspace.catalog.images.search(wanted)]
    print_records(records, LISTED, as_json=as_json, none="no such images")


@app.command()
def show(image_id: IdArgument, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Everything known of an image: source, time, licence, hashes, detections, models."""
    from traboule.provenance import draw, read_image

    with existing_data(data) as workspace:
        known = read_image(workspace, image_id)
    if as_json:
        print_json(known)
    else:
        print_whole(draw(known))


@app.command("open")
def open_image(
    image_id: IdArgument,
    print_path: Annotated[
        bool, typer.Option("--print-path", help="Say where it is instead.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE.jpg",
            dir_okay=False,
            allow_dash=True,
            help="Write it there instead; - is standard output.",
        ),
    ] = None,
    data: DataOption = None,
) -> None:
    """Open an image with your viewer, as it is stored: anonymised where its policy says so."""
    from traboule.delivery import deliver
    from traboule.provenance import find_file, read_picture

    with existing_data(data) as workspace:
        if output is not None:
            deliver(read_picture(workspace, image_id), output, readable=False)
            return
        path = find_file(workspace, image_id)
    if print_path:
        typer.echo(path)
    elif typer.launch(str(path)) != 0:
        raise UserError(f"no viewer could be started; the image is {path}")


@app.command()
def delete(
    image_id: IdArgument,
    reason: Annotated[str, typer.Option(help="Why; kept with the tombstone.")] = "",
    yes: YesOption = False,
    data: DataOption = None,
) -> None:
    """Erase every trace of an image but a tombstone; its bytes will not be taken again."""
    from pipeline import keys
    from traboule.commander import find_commander
    from traboule.labels.erased import tell_of_image
    from traboule.traces import find_traces
    from traboule.upkeep import forget_copies

    with existing_data(data) as workspace:
        if find_traces(workspace, image_id) - {keys.tombstone(image_id)}:
            confirm(f"Erase {image_id} for good?", yes=yes)
        find_commander(workspace).delete_image(image_id, reason)
        copies = forget_copies(workspace.data, image_id) if workspace.data else []
        left = tell_of_image(workspace, image_id)
    typer.echo(f"erased {image_id}")
    for line in left:
        print_whole(fit(line))
    for copy in copies:
        typer.echo(f"removed {copy}, a copy; sheets written elsewhere are yours to remove")


def _describe(row: ImageRow) -> dict[str, object]:
    was_looked_at = row.state == ImageState.DETECTED
    return {
        "id": row.id,
        "camera": row.source,
        "time": row.captured_at,
        "state": row.state,
        "reason": row.reason,
        "width": row.width,
        "height": row.height,
        "faces": row.faces if was_looked_at else None,
        "vehicles": row.vehicles if was_looked_at else None,
        "labels": by_count({one.label: one.count for one in row.labels}),
    }
