"""Sets of labels in memory: what a writer writes is what a reader reads."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import IO, Self

from pipeline.annotations import CLASSES, Annotation, AnnotationStatus, Shape
from pipeline.records import Detections
from services.labeling.receiving.interpretation import ImageFacts
from services.labeling.sets.exporting import ExportOptions, open_writer
from services.labeling.sets.formats.converting import Converted, Import, convert
from services.labeling.sets.formats.fitting import fit_shapes
from services.labeling.sets.formats.packages import Refused, TooLarge
from services.labeling.sets.formats.vocabulary import Entry, FoundLabels, LabelFormat
from services.labeling.sets.importing import ImportOptions, read_labels
from tests.factories import MORNING, Wanted, draw_jpeg, make_provenance
from tests.labels import Said, make_annotation

NOW = datetime(2026, 11, 22, tzinfo=UTC)
CHANGED = datetime(2026, 11, 21, 20, tzinfo=UTC)
ORIGIN = Import("old", "eve", NOW)
SIZE = (320, 240)
JPEG = draw_jpeg(MORNING)


class MemorySink:
    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def write(self, path: str, data: bytes) -> None:
        self.files[path] = data

    def write_chunks(self, path: str, chunks: Iterable[bytes]) -> None:
        self.files[path] = b"".join(chunks)

    def scratch(self) -> IO[bytes]:
        return io.BytesIO()

    def commit(self) -> None:
        """There is nowhere else to go."""

    def discard(self) -> None:
        """Nothing lies about."""


class MemoryPackage:
    def __init__(self, files: Mapping[str, bytes | str]) -> None:
        self.files = {
            name: content.encode() if isinstance(content, str) else content
            for name, content in files.items()
        }
        self.names: Sequence[str] = sorted(self.files)
        self.refused: Sequence[Refused] = ()

    def read(self, name: str, max_bytes: int) -> bytes:
        if len(self.files[name]) > max_bytes:
            raise TooLarge("too large")
        return self.files[name]

    def modified_at(self, name: str) -> datetime:
        return CHANGED

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open."""


def know_image(size: tuple[int, int] = SIZE) -> Detections:
    provenance = make_provenance(Wanted("quai", MORNING), JPEG)
    return Detections(
        provenance=provenance,
        detections=(),
        models=(),
        detected_at=MORNING,
        sha256_stored="ab" * 32,
        bytes_stored=1,
        width=size[0],
        height=size[1],
        blurred=0,
        rounds=1,
    )


def make_entry(form: LabelFormat, shapes: Sequence[Shape], size: tuple[int, int] = SIZE) -> Entry:
    known = know_image(size)
    status = AnnotationStatus.LABELLED if shapes else AnnotationStatus.NEGATIVE
    said = make_annotation(known.provenance.id, Said(shapes, status, size=size))
    return Entry(known, said, fit_shapes(said, CLASSES, form).shapes)


def write_set(
    form: LabelFormat, shapes: Sequence[Shape], size: tuple[int, int] = SIZE
) -> dict[str, bytes]:
    """The files of a set of one image."""
    sink = MemorySink()
    writer = open_writer(sink, ExportOptions(form))
    writer.add(make_entry(form, shapes, size))
    writer.finish()
    return sink.files


def read_set(form: LabelFormat, files: Mapping[str, bytes | str]) -> list[FoundLabels]:
    return list(read_labels(MemoryPackage(files), form, ImportOptions(ORIGIN, form)))


def pass_through(
    form: LabelFormat, shapes: Sequence[Shape], size: tuple[int, int] = SIZE
) -> Annotation:
    """The only image's annotation, written and read again."""
    [found] = read_set(form, write_set(form, shapes, size))
    converted = convert(found, ImageFacts(know_image().provenance.id, *size), ORIGIN)
    assert isinstance(converted, Converted), converted
    return converted.annotation
