"""`traboule labels …`: images out to Label Studio, what people said back, and sets of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from traboule.access import any_data, check_camera, existing_data
from traboule.advice import fit
from traboule.commands import label_sets
from traboule.labels.options import (
    AllOption,
    EveryNthOption,
    FailedOption,
    FractionOption,
    ImagesOption,
    NewestOption,
    PortOption,
    QuotaOption,
    SendPolicyOption,
    SentImagesArgument,
    ServerArgument,
    TitleOption,
    TokenFileOption,
)
from traboule.options import (
    CameraOption,
    DataOption,
    JsonOption,
    LabelOption,
    SinceOption,
    choose,
)
from traboule.printing import count, print_json, print_whole, show

if TYPE_CHECKING:
    from traboule.labels.connecting import Made
    from traboule.labels.pushing import Pushed

app = typer.Typer(
    help="Images out to Label Studio, corrections back, training sets.", no_args_is_help=True
)


@app.command()
def connect(  # one for each option
    url: ServerArgument = None,
    token_file: TokenFileOption = None,
    project: TitleOption = None,
    images: ImagesOption = None,
    policy: SendPolicyOption = None,
    every: EveryNthOption = None,
    fraction: FractionOption = None,
    per_day: QuotaOption = None,
    data: DataOption = None,
) -> None:
    """Connect a Label Studio, with a legacy or a personal access token; again to change something.

    The token stays in its file, which is read when it is needed.
    """
    from services.labeling.settings import ImageAccess, SendPolicy
    from traboule.labels.connecting import Asked
    from traboule.labels.connecting import connect as connect_folder

    asked = Asked(
        url=url,
        token_file=token_file,
        project=project,
        images=None if images is None else choose(ImageAccess, images, "--images"),
        policy=None if policy is None else choose(SendPolicy, policy, "--policy"),
        every_nth=every,
        fraction=fraction,
        per_camera_and_day=per_day,
    )
    with any_data(data) as workspace:
        made = connect_folder(workspace, asked)
        live = _find_live(workspace.data)
    for line in _tell_made(made, live):
        print_whole(line)


@app.command()
def disconnect(data: DataOption = None) -> None:
    """Forget the connection. What was sent and what was labelled stays, here and there."""
    from pipeline.errors import UserError
    from traboule.labels.connection import forget
    from traboule.labels.erased import tell_before_disconnecting

    with existing_data(data) as workspace:
        stays = tell_before_disconnecting(workspace)
        if workspace.data is None or not forget(workspace.data):
            raise UserError("no Label Studio is connected")
    typer.echo("disconnected; a run at work learns of it when it begins again")
    for line in stays:
        print_whole(fit(f"note: {line}"))


@app.command("forget-erased")
def forget_erased(data: DataOption = None) -> None:
    """Labeling tasks of erased images, in a Label Studio that is connected no more, are deleted.

    You deleted them there, or all of it is gone: nobody is asked to delete them any more.
    """
    from traboule.labels.erased import forget_left

    with existing_data(data) as workspace:
        forgotten = forget_left(workspace)
    typer.echo(f"forgot labeling tasks of {count(forgotten, 'erased image')}")


@app.command()
def serve(port: PortOption = None, data: DataOption = None) -> None:
    """Run a Label Studio of your own, on this machine alone, connected to your images.

    The first time it is installed from PyPI, in a virtual environment of its own.
    """
    from traboule.bars import telling
    from traboule.labels.own_studio import serve as serve_studio

    with any_data(data) as workspace, telling("installing Label Studio") as tell_often:
        serve_studio(workspace, port, print_whole, tell_often)


@app.command()
def push(  # one for each option
    images: SentImagesArgument = None,
    every_image: AllOption = False,
    camera: CameraOption = None,
    since: SinceOption = None,
    label: LabelOption = None,
    limit: NewestOption = None,
    failed: FailedOption = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send images to be labelled, now; what was sent before is not sent again.

    Without images or options: those that the connection's policy chooses.
    """
    from pipeline.catalog.images import ImageFilter
    from pipeline.records import ImageState
    from traboule.labels.pushing import find_failed, find_images
    from traboule.labels.pushing import push as push_images

    wanted = ImageFilter(camera, since, None, label, (ImageState.DETECTED,), limit)
    with existing_data(data) as workspace:
        check_camera(workspace, camera)
        found = find_images(workspace, wanted, images or [], every_image=every_image)
        if failed:
            found = find_failed(workspace, wanted, found)
        if found is not None and not found:
            typer.echo("no such images", err=True)
        pushed = push_images(workspace, found)
    if as_json:
        print_json(pushed.as_record())
    else:
        for line in _tell_pushed(pushed):
            typer.echo(line)
    if pushed.failed:
        raise typer.Exit(1)


@app.command()
def pull(
    accept_deletions: Annotated[
        bool, typer.Option("--accept-deletions", help="What is missing there was deleted.")
    ] = False,
    data: DataOption = None,
) -> None:
    """Bring back what people said since the last time. A run, or `serve`, does it by itself.

    Where most labeling tasks are missing, nothing is marked as deleted until you accept it.
    """
    from traboule.labels.pulling import pull as pull_changes

    with existing_data(data) as workspace:
        pulled = pull_changes(workspace, accept_deletions=accept_deletions)
    typer.echo(f"received {count(pulled.annotations, 'annotation')}")
    for why, number in pulled.passed_over.items():
        typer.echo(f"passed over {count(number, 'labeling task')} {why}")
    for note in pulled.notes:
        print_whole(fit(f"note: {show(note)}"))


@app.command()
def status(data: DataOption = None, as_json: JsonOption = False) -> None:
    """What was sent and labelled, what is wrong, and how far annotators agree."""
    from traboule.labels.telling import describe_all, tell_all

    with existing_data(data) as workspace:
        known = describe_all(workspace)
    if as_json:
        print_json(known)
    else:
        for line in tell_all(known):
            print_whole(fit(line))


app.command("export")(label_sets.export_labels)
app.command("import")(label_sets.import_labels)
app.command("fetch-images")(label_sets.fetch_images)


def _find_live(data: Path | None) -> str | None:
    from traboule.status import find_holder

    return None if data is None else find_holder(data)


def _tell_made(made: Made, live: str | None) -> list[str]:
    version = f" (Label Studio {made.version})" if made.version else ""
    lines = [f"connected to {made.known.url}{version} as {made.user or 'its user'}"]
    lines.append(f"project {made.project.title!r}: {made.known.url}/projects/{made.project.id}")
    lines += [f"note: {show(remark)}" for remark in made.remarks]
    if live is not None:
        lines.append("the run at work learns of it when it begins again")
    return [*lines, f"next: {made.what_next}"]


def _tell_pushed(pushed: Pushed) -> list[str]:
    lines = [f"{pushed.sent} sent, {pushed.already_there} were sent before"]
    if pushed.waiting:
        lines.append(f"{pushed.waiting} wait to be sent")
    lines += [f"{count} failed: {fit(show(why))}" for why, count in pushed.failed.items()]
    return lines
