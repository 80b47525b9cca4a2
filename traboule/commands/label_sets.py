"""`traboule labels export`, `import` and `fetch-images`: sets of labels, out and in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from pipeline.errors import UserError
from traboule.access import check_camera, existing_data
from traboule.delivery import open_target
from traboule.labels.options import (
    AuthorOption,
    ChooseOption,
    ClassesOption,
    DryRunOption,
    ExportedArgument,
    FormatOption,
    FoundFormatOption,
    ImportNameOption,
    MeaningOption,
    NegativesOption,
    OutOption,
    ProjectNumberOption,
    RateOption,
    ServerOption,
    SetArgument,
    StrictOption,
    TargetArgument,
    TokenFileOption,
    TrustNamesOption,
    ValOption,
    WithImagesOption,
)
from traboule.options import (
    CameraOption,
    DataOption,
    JsonOption,
    SinceOption,
    UntilOption,
    choose,
)
from traboule.printing import print_json

if TYPE_CHECKING:
    from services.labeling.fetching.report import FetchReport
    from services.labeling.sets.formats.import_reports import ImportReport

SHOWN = 10


def export_labels(  # one for each option
    out: TargetArgument,
    form: FormatOption = "yolo",
    policy: ChooseOption = "ground-truth-or-newest",
    val: ValOption = 0.2,
    camera: CameraOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    with_images: WithImagesOption = True,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write what was labelled as a set to train from, and say what is not in it and why.

    Images where nothing was to be found are in it; images nobody looked at are not.
    """
    from services.labeling.sets.choosing import ChoosingPolicy
    from services.labeling.sets.exporting import ExportOptions
    from services.labeling.sets.formats.vocabulary import LabelFormat
    from traboule.labels.sets import Chosen, export_set

    options = ExportOptions(
        form=choose(LabelFormat, form, "--format"),
        policy=choose(ChoosingPolicy, policy, "--choose"),
        val=val,
        with_images=with_images,
    )
    with existing_data(data) as workspace:
        check_camera(workspace, camera)
        target = open_target(out)
        report = export_set(workspace, target, Chosen(camera, since, until), options)
    in_it = target is not out  # standard output is the set, which holds the report as well
    if as_json and not in_it:
        print_json(report.model_dump(mode="json"))
    else:
        typer.echo(report.describe(), nl=False, err=in_it)
    if not report.images:
        raise UserError("nothing was written: there is not one image for the set")
    if not in_it:
        typer.echo(f"written to {out}", err=as_json)


def import_labels(  # one for each option
    path: SetArgument,
    meant: MeaningOption = "annotations",
    author: AuthorOption = None,
    name: ImportNameOption = None,
    form: FoundFormatOption = None,
    classes: ClassesOption = None,
    negatives: NegativesOption = False,
    strict: StrictOption = False,
    dry_run: DryRunOption = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take labels of your images from YOLO, COCO, VOC or Label Studio's JSON."""
    from dataclasses import replace

    from services.labeling.sets.formats.vocabulary import LabelFormat
    from services.labeling.sets.importing import ImportOptions
    from traboule.labels.sets import Meaning, describe_origin, import_guesses, import_set

    meaning = choose(Meaning, meant, "--as")
    options = ImportOptions(
        origin=replace(describe_origin(path, name, author), empty_is_negative=negatives),
        form=None if form is None else choose(LabelFormat, form, "--format"),
        classes=tuple(one.strip() for one in classes.split(",")) if classes else (),
        strict=strict,
        dry_run=dry_run,
    )
    take = import_set if meaning is Meaning.ANNOTATIONS else import_guesses
    with existing_data(data) as workspace:
        report = take(workspace, path, options)
    _tell_import(report, as_json=as_json)
    if report.is_dry and not dry_run:
        raise UserError("nothing was taken: not all of it is right, and --strict was said")


def fetch_images(  # one for each option
    labels: ExportedArgument,
    url: ServerOption = None,
    token_file: TokenFileOption = None,
    out: OutOption = None,
    rate: RateOption = 5.0,
    project: ProjectNumberOption = None,
    trust_names: TrustNamesOption = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Download the images of labels that were exported from Label Studio by hand.

    Run again, it goes on where it stopped.
    """
    from traboule.labels.fetching import Fetch, fetch

    wanted = Fetch(labels, url, token_file, out, rate, project, trust_names)
    report, target = fetch(data, wanted)
    if as_json:
        typer.echo(report.to_json())
    else:
        typer.echo("\n".join(_tell_fetched(report, target)))
    if not report.is_complete:
        raise typer.Exit(1)


def _tell_import(report: ImportReport, *, as_json: bool) -> None:
    """UserError where there was nothing in it for us."""
    from services.labeling.sets.formats.converting import EMPTY
    from services.labeling.sets.importing import ALREADY_THERE

    if as_json:
        print_json(report.model_dump(mode="json"))
    else:
        typer.echo(report.describe(), nl=False)
    if EMPTY in report.left_out:
        typer.echo(
            "say --negatives to take the empty ones as images with nothing in them", err=True
        )
    if not report.annotations and ALREADY_THERE not in report.left_out:
        raise UserError("there was nothing that could be taken")


def _tell_fetched(report: FetchReport, target: Path) -> list[str]:
    lines = [f"{len(report.fetched)} images fetched, {len(report.already_there)} were there"]
    if report.unlabelled:
        lines.append(f"{len(report.unlabelled)} empty label files of images nobody has seen")
    for what, files in (
        ("missing", report.missing),
        ("ambiguous", report.ambiguous),
        ("no image", report.not_images),
    ):
        lines += [f"{what}: {file}: {why}" for file, why in list(files.items())[:SHOWN]]
        if len(files) > SHOWN:
            lines.append(f"{what}: and {len(files) - SHOWN} more")
    if report.withdrawn:
        lines.append(f"{len(report.withdrawn)} images left the set: they are in withdrawn/")
    if report.lines:
        lines.append(f"{len(report.lines)} label files have lines that were changed or left out")
    return [*lines, *report.notes, f"written to {target}; all of it is in report.json there"]
