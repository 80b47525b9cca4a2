"""`traboule models …`: the detectors' files."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline.errors import UserError
from traboule.options import JsonOption
from traboule.printing import Column, print_json, print_records
from traboule.workspace import has_addresses

LISTED = (
    Column("id", "model", whole=True),
    Column("file", wide=True),
    Column("state"),
    Column("licence"),
    Column("path", "where"),
)

ELSEWHERE = (
    "the models are detection's own here: it pulls what it lacks, and tries again by itself; "
    "see: docker compose logs detection"
)

app = typer.Typer(help="The detectors' files.", no_args_is_help=True)


@app.command("list")
def list_models(as_json: JsonOption = False) -> None:
    """Which model files there are, and whether they are the official ones."""
    if has_addresses():
        if as_json:
            print_json([])
        typer.echo(ELSEWHERE, err=True)
        return
    from traboule.model_files import describe_models

    records = describe_models()
    print_records(records, LISTED, as_json=as_json, none="no detector needs a file")
    for reason in filter(None, (record["reason"] for record in records)):
        typer.echo(reason, err=True)


@app.command()
def pull(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="One model alone.", show_default="all")
    ] = None,
) -> None:
    """Download model files and verify their hashes."""
    if has_addresses():
        typer.echo(ELSEWHERE, err=True)
        return
    from services.detection.models import MODELS
    from traboule.model_files import pull_one

    if name is not None and name not in MODELS:
        raise UserError(f"no model {name!r}; there are: {', '.join(MODELS)}")
    for model in MODELS.values() if name is None else [MODELS[name]]:
        pull_one(model)
