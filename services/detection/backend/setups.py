"""What each project's Label Studio said of itself, as long as this process lives: it says it again
before it asks for predictions."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

MAX_PROJECTS = 1000


@dataclass(frozen=True)
class Setup:
    """`url` is Label Studio's own word for where it is; `version` what we told it of the model."""

    url: str
    token: str | None = field(repr=False)
    version: str | None


class Setups:
    """Of the projects heard of last; for one thread."""

    def __init__(self) -> None:
        self._by_project: OrderedDict[str, Setup] = OrderedDict()

    def remember(self, project: str, setup: Setup) -> None:
        self._by_project[project] = setup
        self._by_project.move_to_end(project)
        if len(self._by_project) > MAX_PROJECTS:
            self._by_project.popitem(last=False)

    def of(self, project: str) -> Setup | None:
        return self._by_project.get(project)

    def versions(self) -> Sequence[str]:
        return sorted({setup.version for setup in self._by_project.values() if setup.version})
