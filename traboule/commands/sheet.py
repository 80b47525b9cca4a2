"""`traboule sheet`: the contact sheet of any filter."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.errors import UserError
from traboule.access import check_camera, existing_data
from traboule.delivery import STANDARD_OUTPUT
from traboule.options import (
    MAX_LIMIT,
    CameraOption,
    DataOption,
    LabelOption,
    SinceOption,
    UntilOption,
)
from traboule.workspace import SHEET_NAME, Workspace

OutputOption = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "--out",
        "-o",
        metavar="FILE.html",
        dir_okay=False,
        allow_dash=True,
        show_default="sheet.html in the data folder",
        help="Where to write it; - is standard output.",
    ),
]


def write(  # one for each option
    camera: CameraOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    label: LabelOption = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=MAX_LIMIT, metavar="N", help="The newest N.")
    ] = 60,
    output: OutputOption = None,
    open_it: Annotated[bool, typer.Option("--open", help="Open it in your browser.")] = False,
    data: DataOption = None,
) -> None:
    """Make a contact sheet: one HTML file with the kept images and their boxes."""
    from pipeline.catalog.images import ImageFilter
    from traboule.sheet import make_sheet, write_sheet

    wanted = ImageFilter(camera=camera, since=since, until=until, label=label, limit=limit)
    with existing_data(data) as workspace:
        check_camera(workspace, camera)
        path = output or _default_place(workspace)
        sheet = make_sheet(workspace.catalog, workspace.store, wanted)
        if not sheet.matching:
            raise UserError("no such images, so no sheet is written; see: traboule images list")
        write_sheet(sheet, path)
    if path == STANDARD_OUTPUT:
        return
    path = path.expanduser().absolute()
    typer.echo(path)
    if open_it and typer.launch(path.as_uri()) != 0:
        raise UserError(f"no browser could be started; the sheet is {path}")


def _default_place(workspace: Workspace) -> Path:
    if workspace.data is None:
        raise UserError(
            "there is no data folder here; say where it goes: "
            "traboule sheet --output - > sheet.html"
        )
    return workspace.data / SHEET_NAME
