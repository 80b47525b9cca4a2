"""Pages of a project's labeling tasks, as Label Studio's data manager lists them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.labeling.studio.pages import Filter, Page
from services.labeling.studio.transport import TooLarge


@dataclass
class TaskList:
    """A ListPage; `full` with annotations and predictions. Pages that are too large to be read
    get smaller."""

    ask: Callable[..., Any]
    project_id: int
    full: bool
    size: int

    def __call__(self, filters: Sequence[Filter], order: str) -> Page:
        items = [condition.describe() for condition in filters]
        query = {"filters": {"conjunction": "and", "items": items}, "ordering": [order]}
        # Unresolved: the address of an image as it was imported.
        asked = {"project": self.project_id, "resolve_uri": "false", "query": json.dumps(query)}
        asked |= {"fields": "all"} if self.full else {}
        while True:
            try:
                return self._read(asked)
            except TooLarge:
                if self.size == 1:
                    raise
                self.size = max(1, self.size // 10)

    def _read(self, asked: Mapping[str, Any]) -> Page:
        rows = list(self.ask(params={**asked, "page_size": self.size})["tasks"])
        return Page(rows, is_last=len(rows) < self.size)
