"""The images of a project's tasks, read page by page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from services.labeling.fetching.files import StudioFiles
from services.labeling.fetching.task_images import TaskImage, find_images
from services.labeling.studio.failures import ProjectMissing, StudioUnavailable

PAGE_SIZE = 100
MAX_PAGES = 100_000


def list_images(studio: StudioFiles, project: int | None) -> Iterator[TaskImage]:
    """The images of a project's tasks, or of all projects'."""
    if project is not None:
        numbers = [project]
        studio.get_json(f"/api/projects/{project}/")  # of a project that is gone it lists nothing
    else:
        numbers = [entry["id"] for entry in _read_pages(studio, "/api/projects/?", "results")]
    for number in numbers:
        for task in _read_pages(studio, f"/api/tasks?project={number}&fields=all&", "tasks"):
            yield from find_images(task)


def read_creation(studio: StudioFiles, project: int) -> str | None:
    """When a project was made, to the microsecond: its number can become another's."""
    answer = studio.get_json(f"/api/projects/{project}/")
    made_at = answer.get("created_at") if isinstance(answer, dict) else None
    return made_at if isinstance(made_at, str) else None


def _read_pages(studio: StudioFiles, path: str, key: str) -> Iterator[Mapping[str, Any]]:
    """A page beyond the last is 404."""
    for page in range(1, MAX_PAGES):
        try:
            answer = studio.get_json(f"{path}page={page}&page_size={PAGE_SIZE}")
        except ProjectMissing:
            if page == 1:
                raise
            return
        entries = answer.get(key) if isinstance(answer, dict) else None
        if not isinstance(entries, list) or not all(isinstance(one, dict) for one in entries):
            raise StudioUnavailable(f"{studio.url} answered something other than a list")
        yield from entries
        if len(entries) < PAGE_SIZE:
            return
