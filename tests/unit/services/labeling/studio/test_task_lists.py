from __future__ import annotations

import json
from typing import Any

import pytest

from services.labeling.studio.pages import Filter
from services.labeling.studio.task_lists import TaskList
from services.labeling.studio.transport import TooLarge


def test_page_asks_for_its_filters_and_order() -> None:
    asked: list[dict[str, Any]] = []

    def ask(params: dict[str, Any]) -> Any:
        asked.append(params)
        return {"tasks": [{"id": 1}, {"id": 2}]}

    condition = Filter("id", "greater", "Number", 7)
    page = TaskList(ask, 3, True, 2)([condition], "tasks:id")
    assert ([row["id"] for row in page.rows], page.is_last) == ([1, 2], False)
    assert TaskList(ask, 3, False, 3)([], "tasks:id").is_last
    assert json.loads(asked[0]["query"]) == {
        "filters": {"conjunction": "and", "items": [condition.describe()]},
        "ordering": ["tasks:id"],
    }
    assert [params.get("fields") for params in asked] == ["all", None]
    assert asked[0]["resolve_uri"] == "false"


def test_one_task_that_is_too_large_is_told() -> None:
    sizes: list[int] = []

    def ask(params: dict[str, Any]) -> Any:
        sizes.append(params["page_size"])
        raise TooLarge("too large")

    with pytest.raises(TooLarge):
        TaskList(ask, 3, True, 200)([], "tasks:id")
    assert sizes == [200, 20, 2, 1]
