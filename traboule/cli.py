"""The `traboule` command's parts. Modules of commands import what is heavy when a command runs."""

from __future__ import annotations

from typing import Annotated

import typer

from traboule.commands import (
    cameras,
    doctor,
    drops,
    images,
    labels,
    models,
    rebuild,
    run,
    sheet,
    simulate,
    status,
    summary,
)

RUN, LOOK, LABEL, UPKEEP = "Run", "Look", "Label", "Upkeep"

app = typer.Typer(
    help="City cameras in; stored, deduplicated, anonymised, detected images out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("run", rich_help_panel=RUN)(run.run)
app.command("simulate", rich_help_panel=RUN)(simulate.simulate)
app.add_typer(cameras.app, name="cameras", rich_help_panel=LOOK)
app.add_typer(images.app, name="images", rich_help_panel=LOOK)
app.add_typer(drops.app, name="drops", rich_help_panel=LOOK)
app.command("sheet", rich_help_panel=LOOK)(sheet.write)
app.command("status", rich_help_panel=LOOK)(status.show_status)
app.command("summary", rich_help_panel=LOOK)(summary.summarise)
app.add_typer(labels.app, name="labels", rich_help_panel=LABEL)
app.command("doctor", rich_help_panel=UPKEEP)(doctor.examine)
app.add_typer(models.app, name="models", rich_help_panel=UPKEEP)
app.command("rebuild-catalog", rich_help_panel=UPKEEP)(rebuild.rebuild_catalog)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"traboule {version('traboule')}")
        raise typer.Exit


@app.callback()
def _begin(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Say which it is."),
    ] = False,
) -> None:
    pass
