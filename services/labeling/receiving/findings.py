"""What going through a project's labeling tasks showed, and what a person should know of it."""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import dataclass, field
from itertools import islice

from pipeline import keys

SHOWN = 5
MAY_DISAPPEAR = 10  # however few there are; of more, half at most
IS_MISSING = "labeling tasks are missing there"

Pair = tuple[int, str]  # a labeling task and its image: an older database gives its numbers again


@dataclass
class Findings:
    """`tasks`: each one's image, where it is one of ours; `several`: images with more than one
    labeling task; `erased`: tasks of erased images that are not ours to delete; `missing`: what
    disappeared, where it is too much to believe."""

    tasks: dict[int, str | None] = field(default_factory=dict)
    first: dict[str, int] = field(default_factory=dict)
    several: dict[str, list[int]] = field(default_factory=dict)
    erased: list[int] = field(default_factory=list)
    foreign: int = 0
    missing: str = ""

    def add(self, task: int, image: str | None) -> None:
        if image is None or not keys.is_image_id(image):
            self.tasks[task] = None
            self.foreign += 1
            return
        self.tasks[task] = image
        if image in self.first and self.first[image] != task:
            self.several.setdefault(image, [self.first[image]]).append(task)
        else:
            self.first[image] = task

    def find_others(self) -> list[Pair]:
        """Of images with several tasks all but the first."""
        return [(task, image) for image, tasks in self.several.items() for task in tasks[1:]]

    def find_missing(self, known: Set[Pair]) -> list[Pair]:
        return sorted(
            (task, image)
            for task, image in known
            if task not in self.tasks or self._is_of_another(task, image)
        )

    def doubt(self, missing: list[Pair], known: Set[Pair]) -> bool:
        """Whether it is another database rather than that people deleted these: they are many, or
        their numbers were given again, which nobody's deleting leads to."""
        again = sum(self._is_of_another(*pair) for pair in missing)
        if not again and len(missing) <= max(MAY_DISAPPEAR, len(known) / 2):
            return False
        numbers = f", the numbers of {again:,} are of other images now," if again else ","
        self.missing = f"{len(missing):,} of {len(known):,} {IS_MISSING}{numbers}"
        return True

    def describe(self) -> Iterator[str]:
        if self.missing:
            yield (
                f"{self.missing} and nothing is marked as deleted: "
                "has Label Studio another database? Put the former back; or, where people deleted "
                "them: traboule labels pull --accept-deletions"
            )
        if self.foreign:
            yield f"{self.foreign} labeling tasks were not made by Traboule: passed over"
        if erased := self.erased:
            shown = ", ".join(map(str, erased[:SHOWN]))
            yield (
                f"{len(erased)} labeling tasks of erased images were not made by Traboule, "
                f"delete them there: {shown}"
            )
        if several := self.several:
            tasks_shown = [
                f"{image} ({', '.join(map(str, tasks))})"
                for image, tasks in islice(several.items(), SHOWN)
            ]
            more = f" and {len(several) - SHOWN} more" if len(several) > SHOWN else ""
            yield (
                f"{len(several)} images have several labeling tasks, which all count: "
                f"{'; '.join(tasks_shown)}{more}"
            )

    def _is_of_another(self, task: int, image: str) -> bool:
        return self.tasks.get(task) not in (None, image)
