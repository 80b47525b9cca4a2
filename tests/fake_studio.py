"""A Label Studio in memory, with the real one's habits: it takes the same task any number of times,
checks next to nothing in what it is given, takes a batch whole or not at all, and moves a task's
`updated_at` with every annotation made, changed or deleted. tests/contract/test_studio.py holds it
and the real one to the same tests.

    studio = FakeStudio()
    project = studio.create_project("Traboule", interface)
    [task] = studio.import_tasks(project.id, [NewStudioTask({"image": "…", "image_id": "cam-1"})])
    annotation = studio.annotate(task, [box], completed_by=2)   # a person, over there
    studio.down = True                                          # … or an outage
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from pipeline.labels.interface import read_data_keys
from services.labeling.studio.failures import ProjectMissing, StudioRefused, StudioUnavailable
from services.labeling.studio.protocol import (
    IMAGE_ID,
    MAX_TASKS_PER_REQUEST,
    NewStudioTask,
    SourceStorage,
    StudioPrediction,
    StudioProject,
    StudioTask,
)
from services.labeling.studio.wire import name_project


@dataclass
class _Task:
    id: int
    project: int
    data: dict[str, Any]
    updated_at: datetime
    annotations: dict[int, dict[str, Any]] = field(default_factory=dict)
    predictions: list[dict[str, Any]] = field(default_factory=list)


class FakeStudio:
    """`down` makes it unreachable, `refuses` (a reason) makes it know no token; `requests` counts
    what it was asked, by name. `clock` is the server's: no two changes get the same time, but
    for those of one act()."""

    def __init__(
        self, url: str = "http://studio.test:8080", clock: Callable[[], datetime] | None = None
    ) -> None:
        self.url = url
        self.down = False
        self.refuses: str | None = None
        self.requests: dict[str, int] = {}
        self.closed = 0
        self.projects: dict[int, StudioProject] = {}
        self.tasks: dict[int, _Task] = {}
        self.uploads: dict[str, bytes] = {}
        self.webhooks: dict[int, list[tuple[str, dict[str, str]]]] = {}
        self.storages: dict[int, SourceStorage] = {}
        self.backends: dict[int, tuple[str, str, tuple[str, str]]] = {}
        self._clock = clock or (lambda: datetime.now(UTC))
        self._last = datetime.min.replace(tzinfo=UTC)
        # One row of numbers each, as a real one has.
        self._project_numbers = count(1)
        self._task_numbers = count(1)
        self._annotation_numbers = count(1)
        self._prediction_numbers = count(1)

    # What the service asks: the protocol Studio.

    def close(self) -> None:
        self.closed += 1

    def version(self) -> str:
        self._asked("version")
        return "1.23.2"

    def find_projects(self, title: str) -> Sequence[StudioProject]:
        self._asked("find_projects")
        return [project for project in self.projects.values() if project.title == title]

    def get_project(self, project_id: int) -> StudioProject:
        self._asked("get_project")
        return self._project(project_id)

    def create_project(self, title: str, interface: str) -> StudioProject:
        self._asked("create_project")
        if len(title) < 3:
            raise StudioRefused("title: Ensure this field has at least 3 characters.")
        number = next(self._project_numbers)
        now = self._now()
        made = StudioProject(number, name_project(self.url, number, now), title, interface, now)
        self.projects[number] = made
        return made

    def change_interface(self, project_id: int, interface: str) -> None:
        self._asked("change_interface")
        self.projects[project_id] = replace(self._project(project_id), interface=interface)

    def set_model_version(self, project_id: int, version: str) -> None:
        self._asked("set_model_version")
        project = self._project(project_id)
        made = [one for task in self._tasks_of(project_id) for one in task.predictions]
        titles = [title for _, title, _ in self.backends.values()]
        if version not in ("", *titles, *(one["model_version"] for one in made)):
            raise StudioRefused("Model version doesn't exist either as live model or …")
        self.projects[project_id] = replace(project, model_version=version)

    def import_tasks(self, project_id: int, tasks: Sequence[NewStudioTask]) -> Sequence[int]:
        self._asked("import_tasks")
        asked = read_data_keys(self._project(project_id).interface)
        if not tasks:
            return []
        if len(tasks) > MAX_TASKS_PER_REQUEST:
            raise ValueError(f"more than {MAX_TASKS_PER_REQUEST} tasks in one request")
        if lacking := {key for task in tasks for key in asked - task.data.keys()}:
            raise StudioRefused(f'"{min(lacking)}" key is expected in task data', 400)
        numbers = [self._import(project_id, task) for task in tasks]
        versions = [one.model_version for task in tasks for one in task.predictions]
        self._show(project_id, *versions[-1:])
        return numbers

    def find_tasks(self, project_id: int, image_ids: Sequence[str]) -> Mapping[str, Sequence[int]]:
        self._asked("find_tasks")
        found: dict[str, list[int]] = {}
        for task in self._tasks_of(project_id):
            image_id = _image_id(task.data)
            if image_id is not None and image_id in image_ids:
                found.setdefault(image_id, []).append(task.id)
        return found

    def get_task(self, task_id: int) -> StudioTask | None:
        self._asked("get_task")
        task = self.tasks.get(task_id)
        return None if task is None else _copy(task)

    def delete_tasks(self, task_ids: Sequence[int]) -> None:
        self._asked("delete_tasks")
        for task_id in task_ids:
            self.tasks.pop(task_id, None)

    def list_changed(
        self, project_id: int, since: datetime | None, after: int = 0
    ) -> Iterator[StudioTask]:
        self._asked("list_changed")
        place = None if since is None else (since, after)
        while changed := [
            task
            for task in self._tasks_of(project_id)
            if place is None or (task.updated_at, task.id) > place
        ]:
            self._check()
            task = min(changed, key=lambda task: (task.updated_at, task.id))
            place = (task.updated_at, task.id)
            yield _copy(task)

    def list_task_ids(self, project_id: int) -> Iterator[tuple[int, str | None]]:
        self._asked("list_task_ids")
        for task in self._tasks_of(project_id):
            self._check()
            yield task.id, _image_id(task.data)

    def add_prediction(self, task_id: int, prediction: StudioPrediction) -> None:
        self._asked("add_prediction")
        self.tasks[task_id].predictions.append(self._describe(prediction, task_id))

    def upload(self, project_id: int, name: str, data: bytes) -> str:
        self._asked("upload")
        self._project(project_id)
        prefix = hashlib.sha256(f"{len(self.uploads)}".encode()).hexdigest()[:8]
        address = f"/data/upload/{project_id}/{prefix}-{name}"
        self.uploads[address] = data
        return address

    def delete_copies(self, project_id: int, names: Sequence[str]) -> Sequence[str]:
        self._asked("delete_copies")
        self._project(project_id)
        of_it = [one for one in self.uploads if one.startswith(f"/data/upload/{project_id}/")]
        there = [one for one in of_it if one.rpartition("/")[2].partition("-")[2] in names]
        for address in there:
            del self.uploads[address]
        return there

    def ensure_webhook(self, project_id: int, url: str, headers: Mapping[str, str]) -> None:
        self._asked("ensure_webhook")
        self._project(project_id)
        others = [hook for hook in self.webhooks.get(project_id, []) if hook[0] != url]
        self.webhooks[project_id] = [*others, (url, dict(headers))]

    def ensure_storage(self, project_id: int, storage: SourceStorage) -> None:
        self._asked("ensure_storage")
        self._project(project_id)
        self.storages[project_id] = storage

    def ensure_backend(self, project_id: int, url: str, title: str, login: tuple[str, str]) -> None:
        self._asked("ensure_backend")
        self._project(project_id)
        self.backends[project_id] = (url, title, login)
        self._show(project_id, title)

    # What people do over there.

    def annotate(self, task_id: int, result: Sequence[Mapping[str, Any]], **fields: Any) -> int:
        """A new annotation's number. `fields`: was_cancelled, ground_truth, completed_by, …;
        nothing is checked."""
        return self.begin_annotation(task_id, result, **fields)()

    def begin_annotation(
        self, task_id: int, result: Sequence[Mapping[str, Any]], **fields: Any
    ) -> Callable[[], int]:
        """annotate(), whose times are of now, and which nobody sees until what is returned is
        called: a transaction that takes its time."""
        task, now = self.tasks[task_id], self._now()

        def commit() -> int:
            task.updated_at = max(task.updated_at, now)
            number = self._annotate(task, {"result": list(result), **fields}, now)
            _keep_one_truth(task, number)
            return number

        return commit

    def change_annotation(self, annotation_id: int, **fields: Any) -> None:
        task = self._task_of(annotation_id)
        now = task.updated_at = self._now()
        task.annotations[annotation_id].update(copy.deepcopy(fields), updated_at=_text(now))
        _keep_one_truth(task, annotation_id)

    def delete_annotation(self, annotation_id: int) -> None:
        task = self._task_of(annotation_id)
        del task.annotations[annotation_id]
        task.updated_at = self._now()

    def act(self, project_id: int, action: str, task_ids: Sequence[int]) -> None:
        """The data manager's `delete_tasks`, and `delete_tasks_annotations`: those that had any get
        one time."""
        if action == "delete_tasks":
            for task_id in task_ids:
                self.delete_task(task_id)
            return
        assert action == "delete_tasks_annotations"
        now = self._now()
        for task in [self.tasks[task_id] for task_id in task_ids]:
            if task.annotations:
                task.annotations.clear()
                task.updated_at = now

    def delete_task(self, task_id: int) -> None:
        del self.tasks[task_id]

    def rename_project(self, project_id: int, title: str) -> None:
        self.projects[project_id] = replace(self.projects[project_id], title=title)

    def delete_project(self, project_id: int) -> None:
        del self.projects[project_id]
        for task in [task for task in self.tasks.values() if task.project == project_id]:
            del self.tasks[task.id]

    # How it works.

    def _asked(self, name: str) -> None:
        self.requests[name] = self.requests.get(name, 0) + 1
        self._check()

    def _check(self) -> None:
        if self.down:
            raise StudioUnavailable(f"{self.url} does not answer")
        if self.refuses is not None:
            raise StudioRefused(f"{self.url}: {self.refuses}")

    def _now(self) -> datetime:
        self._last = max(self._clock(), self._last + timedelta(microseconds=1))
        return self._last

    def _project(self, project_id: int) -> StudioProject:
        if project_id not in self.projects:
            raise ProjectMissing(f"{self.url} has no project {project_id}")
        return self.projects[project_id]

    def _show(self, project_id: int, *version: str) -> None:
        """By itself, where nothing is shown yet."""
        project = self._project(project_id)
        if version and not project.model_version:
            self.projects[project_id] = replace(project, model_version=version[0])

    def _tasks_of(self, project_id: int) -> list[_Task]:
        self._project(project_id)
        return [task for task in self.tasks.values() if task.project == project_id]

    def _task_of(self, annotation_id: int) -> _Task:
        return next(task for task in self.tasks.values() if annotation_id in task.annotations)

    def _import(self, project_id: int, new: NewStudioTask) -> int:
        # Through JSON, as over the wire: what cannot be sent fails here as well.
        data = json.loads(json.dumps(dict(new.data)))
        task = _Task(next(self._task_numbers), project_id, data, self._now())
        self.tasks[task.id] = task
        task.predictions += [self._describe(one, task.id) for one in new.predictions]
        for annotation in new.annotations:
            self._annotate(task, annotation, task.updated_at)
        return task.id

    def _describe(self, prediction: StudioPrediction, task_id: int) -> dict[str, Any]:
        shown = {"model_version": prediction.model_version, "score": prediction.score}
        made = {**shown, "result": list(prediction.result), "task": task_id}
        return {"id": next(self._prediction_numbers), **json.loads(json.dumps(made))}

    def _annotate(self, task: _Task, fields: Mapping[str, Any], now: datetime) -> int:
        number = next(self._annotation_numbers)
        task.annotations[number] = {
            "id": number,
            "created_username": " annotator@example.com, 1",
            "completed_by": 1,
            "was_cancelled": False,
            "ground_truth": False,
            "created_at": _text(now),
            "updated_at": _text(now),
            "lead_time": None,
            "task": task.id,
            "project": task.project,
            "parent_prediction": None,
            **json.loads(json.dumps(dict(fields))),
        }
        return number


def _keep_one_truth(task: _Task, saved: int) -> None:
    """A star takes the others' away, whose time stays as it was."""
    if task.annotations[saved]["ground_truth"]:
        for number, other in task.annotations.items():
            other["ground_truth"] = number == saved


def _copy(task: _Task) -> StudioTask:
    return StudioTask(
        id=task.id,
        image_id=_image_id(task.data),
        data=copy.deepcopy(task.data),
        updated_at=task.updated_at,
        annotations=copy.deepcopy(list(task.annotations.values())),
        predictions=copy.deepcopy(task.predictions),
    )


def _image_id(data: Mapping[str, Any]) -> str | None:
    value = data.get(IMAGE_ID)
    return value if isinstance(value, str) else None


def _text(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
