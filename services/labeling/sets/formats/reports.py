"""What a person is told of a set: what is in it, what is not, and why."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping

from pydantic import Field

from pipeline.records import Record

FILE = "report.json"
TEXT = "report.txt"


class Group(Record):
    """Images that share a reason."""

    count: int
    images: tuple[str, ...]


class ExportReport(Record):
    """`left_out` and `changed` are by reason. `choices` says how often each reason chose."""

    format: str
    classes: tuple[str, ...]
    images: int = 0
    negatives: int = 0  # of those, images in which nothing is to be found
    shapes: dict[str, int] = Field(default_factory=dict)  # by label
    left_out: dict[str, Group] = Field(default_factory=dict)
    changed: dict[str, Group] = Field(default_factory=dict)
    unknown_labels: dict[str, int] = Field(default_factory=dict)
    choices: dict[str, int] = Field(default_factory=dict)
    split: str = ""

    def describe(self) -> str:
        """The report as text, a line per fact."""
        lines = [
            f"{self.images} images, {self.negatives} of them with nothing to be found",
            f"{sum(self.shapes.values())} shapes{_list_counts(self.shapes)}",
        ]
        lines += [f"not in the set: {group.count}, {why}" for why, group in _sorted(self.left_out)]
        lines += [f"{group.count} images: {what}" for what, group in _sorted(self.changed)]
        if self.unknown_labels:
            lines.append(f"labels not in the class list{_list_counts(self.unknown_labels)}")
        several = {why: count for why, count in self.choices.items() if why != "the only one"}
        lines += [f"chosen among several: {count}, {why}" for why, count in several.items()]
        if self.split:
            lines.append(self.split)
        return "".join(f"{line}\n" for line in lines)


class ExportTally:
    """Counts while a set is written."""

    def __init__(self) -> None:
        self.images = 0
        self.negatives = 0
        self.shapes: Counter[str] = Counter()
        self.left_out: defaultdict[str, list[str]] = defaultdict(list)
        self.changed: defaultdict[str, list[str]] = defaultdict(list)
        self.unknown_labels: Counter[str] = Counter()
        self.choices: Counter[str] = Counter()

    def report(self, form: str, classes: tuple[str, ...], split: str) -> ExportReport:
        return ExportReport(
            format=form,
            classes=classes,
            images=self.images,
            negatives=self.negatives,
            shapes=dict(self.shapes.most_common()),
            left_out=_group(self.left_out),
            changed=_group(self.changed),
            unknown_labels=dict(self.unknown_labels.most_common()),
            choices=dict(self.choices.most_common()),
            split=split,
        )


def _group(images: Mapping[str, list[str]]) -> dict[str, Group]:
    return {why: Group(count=len(ids), images=tuple(ids)) for why, ids in images.items()}


def _sorted(groups: Mapping[str, Group]) -> list[tuple[str, Group]]:
    return sorted(groups.items(), key=lambda item: -item[1].count)


def _list_counts(counts: Mapping[str, int]) -> str:
    return "".join(f"{', ' if n else ': '}{counts[name]} {name}" for n, name in enumerate(counts))
