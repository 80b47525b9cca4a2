"""Options of `traboule labels …`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from traboule.options import MAX_LIMIT

FORMATS = "yolo, yolo-obb (rotated boxes), coco, voc or label-studio."

TokenFileOption = Annotated[
    Path | None,
    typer.Option(
        "--token-file", metavar="FILE", dir_okay=False, help="A file that holds its token alone."
    ),
]
ServerArgument = Annotated[
    str | None, typer.Argument(metavar="URL", help="Its address.", show_default="as before")
]
TitleOption = Annotated[
    str | None,
    typer.Option("--project", metavar="TITLE", help="Found, or made.", show_default="Traboule"),
]
ImagesOption = Annotated[
    str | None,
    typer.Option(
        "--images",
        metavar="signed|upload|s3",
        help="How it comes by an image: from this machine, by an address only we can make; "
        "as a copy; or from the object store.",
        show_default="signed, for one on this machine",
    ),
]
SendPolicyOption = Annotated[
    str | None,
    typer.Option(
        "--policy",
        metavar="all|nth|random|uncertain",
        help="Which images are sent.",
        show_default="all",
    ),
]
EveryNthOption = Annotated[
    int | None,
    typer.Option("--every", min=1, metavar="N", help="For nth: one in N.", show_default="10"),
]
FractionOption = Annotated[
    float | None,
    typer.Option(
        "--fraction",
        min=0,
        max=1,
        metavar="0-1",
        help="For random: of all.",
        show_default="0.1",
    ),
]
QuotaOption = Annotated[
    int | None,
    typer.Option(
        "--per-day", min=0, metavar="N", help="At most N of a camera and day.", show_default="50"
    ),
]
PortOption = Annotated[
    int | None,
    typer.Option(
        "--port",
        min=1,
        max=65_535,
        help="Where it listens, from then on.",
        show_default="8080, or the next",
    ),
]
SentImagesArgument = Annotated[
    list[str] | None, typer.Argument(metavar="IMAGE", help="These images, by their ids.")
]
AllOption = Annotated[
    bool, typer.Option("--all", help="Every image, whatever the connection's policy says.")
]
FailedOption = Annotated[
    bool, typer.Option("--failed", help="All that failed, once more; what was wrong is mended.")
]
NewestOption = Annotated[
    int | None,
    typer.Option("--limit", min=1, max=MAX_LIMIT, metavar="N", help="The newest N of them."),
]
TargetArgument = Annotated[
    Path,
    typer.Argument(
        metavar="OUT", help="A new folder, a new file.zip, or - for a zip on standard output."
    ),
]
FormatOption = Annotated[str, typer.Option("--format", metavar="FORMAT", help=FORMATS)]
FoundFormatOption = Annotated[
    str | None,
    typer.Option("--format", metavar="FORMAT", help=FORMATS, show_default="told from the files"),
]
ChooseOption = Annotated[
    str,
    typer.Option(
        "--choose",
        metavar="POLICY",
        help="Which counts of an image's annotations: ground-truth-or-newest, newest, agreed.",
    ),
]
ValOption = Annotated[
    float,
    typer.Option("--val", min=0, max=0.9, metavar="FRACTION", help="Held back to measure on."),
]
WithImagesOption = Annotated[
    bool, typer.Option("--images/--no-images", help="With the images, or the labels alone.")
]
SetArgument = Annotated[
    Path, typer.Argument(metavar="PATH", exists=True, help="A folder, a .zip, a .json.")
]
MeaningOption = Annotated[
    str,
    typer.Option(
        "--as",
        metavar="annotations|predictions",
        help="A person's word, or a guess to be corrected in Label Studio.",
    ),
]
AuthorOption = Annotated[
    str | None,
    typer.Option("--author", metavar="NAME", help="Who drew them.", show_default="you"),
]
ImportNameOption = Annotated[
    str | None,
    typer.Option(
        "--name",
        metavar="NAME",
        help="Of this import: by the same name it replaces itself.",
        show_default="the file's",
    ),
]
ClassesOption = Annotated[
    str | None,
    typer.Option(
        "--classes", metavar="A,B,…", help="The names of YOLO's ids, where no file has them."
    ),
]
NegativesOption = Annotated[
    bool, typer.Option("--negatives", help="An empty file means that somebody saw nothing there.")
]
StrictOption = Annotated[bool, typer.Option("--strict", help="All or nothing.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Say what would be taken.")]
ExportedArgument = Annotated[
    Path,
    typer.Argument(
        metavar="LABELS", exists=True, help="A YOLO export of Label Studio: a folder or zip."
    ),
]
ServerOption = Annotated[
    str | None,
    typer.Option("--url", metavar="URL", help="Of it.", show_default="the connected one"),
]
OutOption = Annotated[
    Path | None,
    typer.Option(
        "--out", metavar="DIR", help="To write to.", show_default="beside LABELS, …-with-images"
    ),
]
RateOption = Annotated[
    float,
    typer.Option("--rate", min=0.1, max=1000, metavar="N", help="At most N images a second."),
]
ProjectNumberOption = Annotated[
    int | None,
    typer.Option(
        "--project", min=1, metavar="NUMBER", help="Look in this one.", show_default="all"
    ),
]
TrustNamesOption = Annotated[
    bool, typer.Option("--trust-names", help="Take the one image of the same name.")
]
