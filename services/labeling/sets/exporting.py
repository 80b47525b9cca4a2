"""A set one can train from: chosen annotations and their images, read from the object store.

Images are read a few ahead and written as they come: the whole set is never held. Bytes are copied,
held against the SHA-256 that detection wrote down, and never encoded again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from pipeline.annotations import CLASSES, Annotation, AnnotationStatus
from pipeline.errors import UserError
from pipeline.storage import ObjectStore
from services.labeling.sets.choosing import ChoosingPolicy
from services.labeling.sets.formats import reports
from services.labeling.sets.formats.coco import CocoWriter
from services.labeling.sets.formats.entries import (
    Collected,
    Collector,
    ExportRequest,
    LeftOut,
    read_ahead,
)
from services.labeling.sets.formats.fitting import Fitted
from services.labeling.sets.formats.label_studio import LabelStudioWriter
from services.labeling.sets.formats.reports import ExportReport, ExportTally
from services.labeling.sets.formats.sinks import Listing, Sink, open_sink
from services.labeling.sets.formats.voc import VocWriter
from services.labeling.sets.formats.vocabulary import LabelFormat, Remark, Writer
from services.labeling.sets.formats.yolo import YoloWriter

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class ExportOptions:
    """`val`: the part held back to measure on, 0 to 1. `image_address`: where a Label Studio finds
    an image, with {key} (its key in the object store, bucket first) and {image} (its id)."""

    form: LabelFormat = LabelFormat.YOLO
    classes: tuple[str, ...] = CLASSES
    policy: ChoosingPolicy = ChoosingPolicy.GROUND_TRUTH_OR_NEWEST
    project: str | None = None
    with_images: bool = True
    val: float = 0.2
    image_address: str = "s3://{key}"


def export(
    store: ObjectStore, images: Iterable[str], target: Path | IO[bytes], options: ExportOptions
) -> ExportReport:
    """Write a set of those of `images` (ids) that people labelled to `target`: a folder, a .zip, or
    a stream, which gets a zip.

    The set appears whole or not at all; without a single image there is none, and the report says
    why. UserError where `target` exists or cannot be written, StorageError from the object store.
    """
    sink = open_sink(target)
    try:
        report = _write(store, images, sink, options)
        if report.images:
            sink.commit()
        return report
    except OSError as error:
        name = target if isinstance(target, Path) else "the set"
        raise UserError(f"cannot write {name}: {error.strerror}") from error
    finally:
        sink.discard()


def _write(
    store: ObjectStore, images: Iterable[str], sink: Sink, options: ExportOptions
) -> ExportReport:
    writer = open_writer(sink, options)
    manifest = Listing(sink)
    tally = ExportTally()
    request = ExportRequest(
        options.form, options.classes, options.policy, options.project, options.with_images
    )
    for found in read_ahead(images, Collector(store, request).collect):
        if isinstance(found, LeftOut):
            _count_left_out(tally, found)
            continue
        if found.jpeg is not None:
            sink.write(f"{writer.images}/{found.entry.file_name}", found.jpeg)
        writer.add(found.entry)
        manifest.add(describe_origin(found))
        _count(tally, found)
    if not tally.images:
        return tally.report(options.form, options.classes, "")
    report = tally.report(options.form, options.classes, writer.finish())
    sink.write_chunks(MANIFEST, manifest.chunks())
    sink.write(reports.FILE, report.model_dump_json(indent=2).encode())
    sink.write(reports.TEXT, report.describe().encode())
    return report


def open_writer(sink: Sink, options: ExportOptions) -> Writer:
    match options.form:
        case LabelFormat.YOLO | LabelFormat.YOLO_OBB:
            rotated = options.form is LabelFormat.YOLO_OBB
            return YoloWriter(sink, options.classes, options.val, rotated=rotated)
        case LabelFormat.COCO:
            return CocoWriter(sink, options.classes)
        case LabelFormat.VOC:
            return VocWriter(sink, options.classes, options.val)
        case LabelFormat.LABEL_STUDIO:
            return LabelStudioWriter(sink, options.classes, options.image_address)


def describe_origin(found: Collected) -> dict[str, Any]:
    """An image's line in the manifest: where it is from, and whose word was taken."""
    known, chosen = found.entry.known.provenance, found.entry.annotation
    return {
        "image": known.id,
        "source": known.source,
        "captured_at": known.captured_at.isoformat(),
        "url": known.url,
        "licence": known.licence,
        "attribution": known.attribution,
        "sha256_stored": found.entry.known.sha256_stored,
        "annotation": _describe_annotation(chosen),
        "problems": list(chosen.problems),
        "chosen": found.choice.reason,
        "others": [_describe_annotation(other) for other in found.choice.others],
    }


def _describe_annotation(annotation: Annotation) -> dict[str, Any]:
    return {
        "revision": annotation.revision,
        "author": annotation.author,
        "status": annotation.status,
        "ground_truth": annotation.ground_truth,
        "updated_at": annotation.updated_at.isoformat(),
        "origin": annotation.origin.model_dump(),
    }


def _count(tally: ExportTally, found: Collected) -> None:
    image = found.entry.image
    tally.images += 1
    tally.negatives += found.entry.annotation.status is AnnotationStatus.NEGATIVE
    tally.shapes.update(shape.label for shape in found.entry.shapes)
    tally.choices[found.choice.reason] += 1
    _count_remarks(tally, image, found.fitted)
    if found.entry.annotation.problems:
        tally.changed["part of what was drawn could not be used: see the manifest"].append(image)


def _count_left_out(tally: ExportTally, found: LeftOut) -> None:
    tally.left_out[found.reason].append(found.image)
    if found.fitted is not None:
        _count_remarks(tally, found.image, found.fitted)


def _count_remarks(tally: ExportTally, image: str, fitted: Fitted) -> None:
    for remark in fitted.remarks:
        tally.changed[Remark(remark)].append(image)
    tally.unknown_labels.update(fitted.unknown)
