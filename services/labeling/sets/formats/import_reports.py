"""What a person is told of an import: what was taken, what was not, and why."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

from pydantic import Field

from pipeline.annotations import Annotation
from pipeline.records import Record

MAX_LISTED = 1000  # of the files that share a reason, and of the problems


class FileGroup(Record):
    """Files that share a reason; the first thousand of them."""

    count: int
    files: tuple[str, ...]


class ImportReport(Record):
    """`is_dry`: nothing was taken, `annotations` says what would be. `problems` name file and line
    of what was left out of files that were otherwise taken, or of files that were not."""

    format: str
    is_dry: bool
    annotations: int = 0
    negatives: int = 0
    shapes: dict[str, int] = Field(default_factory=dict)  # by label
    left_out: dict[str, FileGroup] = Field(default_factory=dict)
    problem_count: int = 0
    problems: tuple[str, ...] = ()

    def describe(self) -> str:
        """The report as text, a line per fact."""
        done = "would be taken" if self.is_dry else "taken"
        lines = [f"{self.annotations} annotations {done}, {self.negatives} of them negatives"]
        lines += [f"{count} {label}" for label, count in self.shapes.items()]
        for why, group in sorted(self.left_out.items(), key=lambda item: -item[1].count):
            lines.append(f"not taken: {group.count}, {why} ({group.files[0]}, …)")
        lines += [f"problem: {problem}" for problem in self.problems]
        if self.problem_count > len(self.problems):
            lines.append(f"and {self.problem_count - len(self.problems)} problems more")
        return "".join(f"{line}\n" for line in lines)


class ImportTally:
    """Counts while a package is read."""

    def __init__(self) -> None:
        self._annotations = 0
        self._negatives = 0
        self._shapes: Counter[str] = Counter()
        self._left_out: Counter[str] = Counter()
        self._files: defaultdict[str, list[str]] = defaultdict(list)
        self._problem_count = 0
        self._problems: list[str] = []

    def count(self, annotation: Annotation, *, is_negative: bool) -> None:
        self._annotations += 1
        self._negatives += is_negative
        self._shapes.update(shape.label for shape in annotation.shapes)

    def leave_out(self, file: str, reason: str) -> None:
        self._left_out[reason] += 1
        if len(self._files[reason]) < MAX_LISTED:
            self._files[reason].append(file)

    def note(self, problems: Iterable[str]) -> None:
        for problem in problems:
            self._problem_count += 1
            if len(self._problems) < MAX_LISTED:
                self._problems.append(problem)

    def report(self, form: str, *, is_dry: bool) -> ImportReport:
        groups = {
            why: FileGroup(count=count, files=tuple(self._files[why]))
            for why, count in self._left_out.most_common()
        }
        return ImportReport(
            format=form,
            is_dry=is_dry,
            annotations=self._annotations,
            negatives=self._negatives,
            shapes=dict(self._shapes.most_common()),
            left_out=groups,
            problem_count=self._problem_count,
            problems=tuple(self._problems),
        )
