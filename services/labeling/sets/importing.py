"""Labels that were made elsewhere, as annotations of our images or as predictions to correct.

A package is read twice: first to see which image each file speaks of and what is wrong, then to
take what is right. What is not taken is reported with its reason; `strict` takes all or nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.annotations import CLASSES, Annotation, AnnotationStatus, ShapeKind
from pipeline.errors import UserError
from pipeline.labels.geometry import Size
from services.labeling.receiving.interpretation import ImageFacts
from services.labeling.sets.formats.coco_reader import find_documents, read_coco
from services.labeling.sets.formats.converting import Converted, Import, convert
from services.labeling.sets.formats.documents import read_document
from services.labeling.sets.formats.fitting import fit_shape
from services.labeling.sets.formats.import_reports import ImportReport, ImportTally
from services.labeling.sets.formats.label_studio import write_region
from services.labeling.sets.formats.label_studio_reader import read_label_studio
from services.labeling.sets.formats.matching import KnownImages, match
from services.labeling.sets.formats.packages import Package, open_package
from services.labeling.sets.formats.voc_reader import find_xml, read_voc
from services.labeling.sets.formats.vocabulary import FoundLabels, LabelFormat
from services.labeling.sets.formats.yolo_reader import find_label_files, read_yolo
from services.labeling.studio.protocol import StudioPrediction

CLAIMED_TWICE = "several files speak of the same image"
ALREADY_THERE = "the same, or something newer, was imported before"
NO_SHAPES = "there is nothing in it to predict"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_PREDICTED = frozenset({ShapeKind.BOX, ShapeKind.ROTATED_BOX})  # what the interface can show


@dataclass(frozen=True)
class ImportOptions:
    """`form` None is told from the files; yolo-obb is not, and has to be asked for. `classes`: the
    names of YOLO's ids, where no file names them. `dry_run` takes nothing."""

    origin: Import
    form: LabelFormat | None = None
    classes: tuple[str, ...] = ()
    strict: bool = False
    dry_run: bool = False


# Stores one annotation; False when it was there already.
Take = Callable[[Annotation], bool]
# The same of a prediction; or why it cannot be taken.
TakePrediction = Callable[[str, StudioPrediction], bool | str]


def import_annotations(
    source: Path, images: KnownImages, options: ImportOptions, take: Take
) -> ImportReport:
    """UserError where `source` cannot be read, or nothing names its classes."""
    return _import(source, images, options, lambda converted: take(converted.annotation))


def import_predictions(
    source: Path, images: KnownImages, options: ImportOptions, take: TakePrediction
) -> ImportReport:
    """As a model's word on each image; the import's name is the model's version."""

    def take_one(converted: Converted) -> bool | str:
        prediction = predict(converted, options.origin.name)
        if not prediction.result:
            return NO_SHAPES
        return take(converted.annotation.image, prediction)

    return _import(source, images, options, take_one)


def predict(converted: Converted, model_version: str) -> StudioPrediction:
    """Boxes alone: the labeling interface shows nothing else. Its score is the least certain's."""
    annotation = converted.annotation
    size = Size(annotation.width, annotation.height)
    regions, scores = [], []
    for number, (shape, score) in enumerate(zip(annotation.shapes, converted.scores, strict=True)):
        if shape.label not in CLASSES:
            continue
        placed, _ = fit_shape(shape, CLASSES.index(shape.label), size, _PREDICTED)
        if placed is not None:
            region = write_region(f"{annotation.revision[-8:]}-{number}", placed, size)
            regions.append(region if score is None else region | {"score": score})
            scores += [] if score is None else [score]
    return StudioPrediction(model_version, min(scores, default=None), regions)


def _import(
    source: Path,
    images: KnownImages,
    options: ImportOptions,
    take: Callable[[Converted], bool | str],
) -> ImportReport:
    if _NAME.fullmatch(options.origin.name) is None:
        raise UserError(f"{options.origin.name!r} is no name for an import: letters and digits")
    tally = ImportTally()
    with open_package(source) as package:
        form = options.form or detect_format(package)
        planned = _plan(package, form, images, options)
        for refused in package.refused:
            tally.leave_out(refused.file, refused.reason)
        if options.strict and _has_problems(package, form, planned, options):
            options = ImportOptions(
                options.origin, form, options.classes, strict=True, dry_run=True
            )
        for found, image in zip(read_labels(package, form, options), planned, strict=True):
            _take(found, image, options, take, tally)
    return tally.report(form, is_dry=options.dry_run)


def read_labels(
    package: Package, form: LabelFormat, options: ImportOptions
) -> Iterator[FoundLabels]:
    """What its files say, in the same order every time."""
    match form:
        case LabelFormat.YOLO | LabelFormat.YOLO_OBB:
            rotated = form is LabelFormat.YOLO_OBB
            return read_yolo(package, options.classes, rotated=rotated)
        case LabelFormat.COCO:
            return read_coco(package)
        case LabelFormat.VOC:
            return read_voc(package)
        case LabelFormat.LABEL_STUDIO:
            return read_label_studio(package)


def detect_format(package: Package) -> LabelFormat:
    """By what lies in it. UserError when that is nothing one could import."""
    if find_xml(package):
        return LabelFormat.VOC
    if find_label_files(package):
        return LabelFormat.YOLO
    documents = find_documents(package)
    if documents:
        is_list = isinstance(read_document(package, documents[0]), list)
        return LabelFormat.LABEL_STUDIO if is_list else LabelFormat.COCO
    raise UserError("there are no labels in it: neither XML, nor text, nor JSON")


_Planned = list[ImageFacts | str]


def _plan(
    package: Package, form: LabelFormat, images: KnownImages, options: ImportOptions
) -> _Planned:
    """For each thing found its image, or why it is not taken."""
    planned: _Planned = []
    claims: list[tuple[str, ...]] = []
    for found in read_labels(package, form, options):
        image = match(found, package, images)
        planned.append(image)
        claims.append(_claim(found, image, len(planned)))
    times = Counter(claims)
    return [
        CLAIMED_TWICE if times[claim] > 1 else image
        for claim, image in zip(claims, planned, strict=True)
    ]


def _claim(found: FoundLabels, image: ImageFacts | str, number: int) -> tuple[str, ...]:
    """What two files may not both be: one image's labels, or one annotation of a Label Studio."""
    if isinstance(image, str):
        return ("nothing", str(number))
    if found.raw is None:
        return ("image", image.id)
    return ("annotation", str(found.raw["id"]))


def _has_problems(
    package: Package, form: LabelFormat, planned: _Planned, options: ImportOptions
) -> bool:
    if package.refused or any(isinstance(image, str) for image in planned):
        return True
    found = read_labels(package, form, options)
    return any(
        isinstance(converted, str) or bool(converted.annotation.problems)
        for converted in (
            convert(one, image, options.origin)
            for one, image in zip(found, planned, strict=True)
            if isinstance(image, ImageFacts)
        )
    )


def _take(
    found: FoundLabels,
    image: ImageFacts | str,
    options: ImportOptions,
    take: Callable[[Converted], bool | str],
    tally: ImportTally,
) -> None:
    converted = image if isinstance(image, str) else convert(found, image, options.origin)
    if isinstance(converted, str):
        tally.leave_out(found.file, converted)
        tally.note(f"{found.file}: {problem}" for problem in found.problems)
        return
    annotation = converted.annotation
    tally.note(f"{found.file}: {problem}" for problem in annotation.problems)
    taken = True if options.dry_run else take(converted)
    if taken is True:
        tally.count(annotation, is_negative=annotation.status is AnnotationStatus.NEGATIVE)
    else:
        tally.leave_out(found.file, taken or ALREADY_THERE)
