"""The images of labels that a person exported from Label Studio by hand, fetched beside them."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from pipeline.decoding import read_header, reduced_grey
from pipeline.errors import FetchError, UnreadableImage, UserError
from pipeline.records import Outcome
from services.labeling.fetching.files import StudioFiles
from services.labeling.fetching.folder import FetchedSet, FetchRefused, name_apart
from services.labeling.fetching.label_files import LabelFile, LabelSet, read_labels
from services.labeling.fetching.label_lines import clean_labels
from services.labeling.fetching.report import FetchOptions, FetchReport
from services.labeling.fetching.session import ServerFailed
from services.labeling.fetching.task_images import TaskImage, TaskIndex, locate
from services.labeling.fetching.task_pages import list_images, read_creation
from services.labeling.studio.failures import StudioUnavailable

EXPORT = ".export.zip"
FAILURES_IN_A_ROW = 5  # of Label Studio itself, each with all its attempts: it is down


def fetch_images(
    labels: Path, studio: StudioFiles, out: Path, options: FetchOptions | None = None
) -> FetchReport:
    """Fetch each label file's image into `out`/images, beside cleaned `out`/labels and data.yaml.

    Goes on where a run was killed. Raises UserError (labels that cannot be used, `out` unwritable),
    StudioRefused, ProjectMissing, StudioUnavailable: what was fetched until then stays.
    """
    options = options or FetchOptions()
    if not options.images_per_s > 0:
        raise UserError("images are fetched at more than 0 a second")
    _refuse_overlap(labels.resolve(), (out / "labels").resolve())
    found = read_labels(labels, may_be_empty=options.is_all)
    index = TaskIndex(list_images(studio, options.project), studio.url)
    return _Fetching(studio, FetchedSet(out), options, found).run(index)


def fetch_export(
    studio: StudioFiles, project: int, out: Path, options: FetchOptions | None = None
) -> FetchReport:
    """The same with the labels that the project's own YOLO export has now, and no others.

    Raises FetchRefused too: where `out` is another project's, or most would leave it.
    """
    options = replace(options or FetchOptions(), project=project, is_all=True)
    archive, target = out / EXPORT, FetchedSet(out)
    try:
        target.claim(read_creation(studio, project))
        with archive.open("wb") as file:
            studio.save(f"/api/projects/{project}/export?exportType=YOLO", file)
        return fetch_images(archive, studio, out, options)
    except FetchRefused as error:
        target.write_report(FetchReport(notes=[str(error)]).to_json())
        raise
    except OSError as error:
        raise UserError(f"cannot write {out}: {error.strerror}") from error
    finally:
        with suppress(OSError):
            archive.unlink()


def _refuse_overlap(labels: Path, written: Path) -> None:
    if labels.is_dir() and (written.is_relative_to(labels) or labels.is_relative_to(written)):
        raise UserError(f"{labels} would be written over: name another folder to fetch into")


def _is_unseen(file: LabelFile, image: TaskImage) -> bool:
    return not file.data.strip() and not image.annotated


class _Fetching:
    """One run."""

    def __init__(
        self, studio: StudioFiles, target: FetchedSet, options: FetchOptions, labels: LabelSet
    ) -> None:
        self._studio, self._target, self._options, self._labels = studio, target, options, labels
        self._classes = labels.classes if labels.classes is not None else options.classes
        self._report = FetchReport(notes=list(labels.problems))
        self._next_at_s = 0.0
        self._failures = 0  # of Label Studio, in a row
        self._kept: set[str] = set()  # names of images that stay in the set

    def run(self, index: TaskIndex) -> FetchReport:
        matched = self._match(index)
        names = name_apart([file for file, _ in matched])
        if self._options.is_all:
            wanted = [n for n, pair in zip(names, matched, strict=True) if not _is_unseen(*pair)]
            self._target.refuse_emptying([*wanted, *self._kept])
        left = len(self._labels.files) - len(matched)
        try:
            for done, ((file, image), name) in enumerate(zip(matched, names, strict=True), 1):
                if name != file.stem:
                    self._report.renamed[file.path] = name
                self._add(file, image, name)
                self._options.progress(left + done, len(self._labels.files))
            if self._options.is_all:
                self._report.withdrawn += self._target.withdraw_others(self._kept)
        finally:
            self._finish()
        return self._report

    def _match(self, index: TaskIndex) -> list[tuple[LabelFile, TaskImage]]:
        """Each label file with its image; no two with the same one, unless they say the same."""
        by_address: dict[str, list[tuple[LabelFile, TaskImage]]] = defaultdict(list)
        for file in self._labels.files:
            match = index.match(file.stem, trust_names=self._options.trust_names)
            if match.image is not None:
                by_address[match.image.address].append((file, match.image))
            elif match.ambiguous:
                self._report.ambiguous[file.path] = match.reason
            else:
                self._report.missing[file.path] = match.reason
                # Tasks are listed page by page: one deleted meanwhile hides another.
                self._kept.update(name_apart([file]))
        return [pair for pairs in by_address.values() for pair in self._settle(pairs)]

    def _settle(
        self, pairs: Sequence[tuple[LabelFile, TaskImage]]
    ) -> Sequence[tuple[LabelFile, TaskImage]]:
        if len({file.data for file, _ in pairs}) == 1:
            for file, _ in pairs[1:]:
                self._report.notes.append(f"{file.path} says the same as {pairs[0][0].path}")
            return pairs[:1]
        for file, image in pairs:
            others = ", ".join(other.path for other, _ in pairs if other is not file)
            told = f"task {image.task}'s image has other labels too, in {others}"
            self._report.ambiguous[file.path] = told
        return []

    def _add(self, file: LabelFile, image: TaskImage, name: str) -> None:
        if _is_unseen(file, image):
            self._report.unlabelled.append(file.path)
            self._withdraw(name)
            return
        if self._target.holds(name, image):
            self._report.already_there.append(file.path)
        elif not self._download(file, image, name):
            self._withdraw(name)
            return
        clean = clean_labels(file.data, self._classes)
        if clean.problems:
            self._report.lines[file.path] = clean.problems
        self._report.empty += clean.objects == 0
        self._target.add_labels(name, clean.text)
        self._kept.add(name)

    def _withdraw(self, name: str) -> None:
        if self._target.withdraw(name):
            self._report.withdrawn.append(name)

    def _download(self, file: LabelFile, image: TaskImage, name: str) -> bool:
        self._wait()
        try:
            data = self._studio.download(locate(image, self._studio.url))
            self._failures = 0
            header = read_header(data, self._options.limits)
            reduced_grey(data, header)
        except UnreadableImage as error:
            self._report.not_images[file.path] = error.reason
            return False
        except FetchError as error:
            self._report.missing[file.path] = self._explain(error, image)
            return False
        self._target.add(name, image, data, header.format)
        self._report.fetched.append(file.path)
        return True

    def _explain(self, error: FetchError, image: TaskImage) -> str:
        """Why an image is missing. Raises StudioUnavailable where Label Studio seems to be down."""
        mine = self._studio.owns(locate(image, self._studio.url))
        gone = isinstance(error, ServerFailed) and error.status == 500
        if mine and gone and "/data/upload/" in image.address:
            return f"{error.reason}, as Label Studio does where an uploaded file is gone"
        if mine and (isinstance(error, ServerFailed) or error.outcome is not Outcome.HTTP_ERROR):
            self._failures += 1
        if self._failures >= FAILURES_IN_A_ROW:
            raise StudioUnavailable(f"{error.reason}; run it again to go on") from error
        return error.reason

    def _wait(self) -> None:
        now_s = time.monotonic()
        if self._next_at_s > now_s:
            self._options.sleep(self._next_at_s - now_s)
        self._next_at_s = max(now_s, self._next_at_s) + 1 / self._options.images_per_s

    def _finish(self) -> None:
        report = self._report
        if self._classes is None:
            report.notes.append(
                "there is no notes.json, so no data.yaml: classes.txt doesn't tell the classes' ids"
            )
        else:
            self._target.describe(self._classes)
        if report.empty:
            report.notes.append(
                f"{report.empty} label files have no box. Label Studio also writes those where a "
                "result could not be exported: they may be no true negatives"
            )
        self._target.write_report(report.to_json())
