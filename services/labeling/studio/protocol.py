"""What this service asks of a Label Studio, as a protocol; services.labeling.client speaks to one.

A labeling task's data carries the image's id under `IMAGE_ID`: it is the key by which a task is
found again, since Label Studio itself takes the same task any number of times.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from pipeline.labels.interface import IMAGE_ID as IMAGE_ID

MAX_TASKS_PER_REQUEST = 250


@dataclass(frozen=True)
class StudioProject:
    """`key` names it in the catalog: the server's address, its number and when it was made."""

    id: int
    key: str
    title: str
    interface: str  # the labeling interface, as XML
    created_at: datetime
    model_version: str = ""  # whose predictions it shows: a version, or an ML backend's title


@dataclass(frozen=True)
class StudioPrediction:
    """One model's word on one image. `result` is Label Studio's list of regions."""

    model_version: str
    score: float | None
    result: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class NewStudioTask:
    """`data` holds `image` (an address that the browser or the server can open) and `image_id`.
    `annotations` are Label Studio's own dicts (`result`, `was_cancelled`, `ground_truth`, …)."""

    data: Mapping[str, Any]
    predictions: Sequence[StudioPrediction] = ()
    annotations: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class StudioTask:
    """A labeling task as it stands. `annotations` are dicts as received: nothing in them is
    checked over there. `image_id` is None where somebody else made the task."""

    id: int
    image_id: str | None
    data: Mapping[str, Any]
    updated_at: datetime
    annotations: Sequence[Mapping[str, Any]] = ()
    predictions: Sequence[Mapping[str, Any]] = field(default=(), repr=False)


class Studio(Protocol):
    """Raises StudioUnavailable (try again), StudioRefused (token revoked, no such project, or what
    was sent is not taken: it tells which): both in studio.failures, none shows a token."""

    @property
    def url(self) -> str: ...

    def close(self) -> None:
        """Its connections end."""
        ...

    def version(self) -> str: ...

    def find_projects(self, title: str) -> Sequence[StudioProject]: ...

    def get_project(self, project_id: int) -> StudioProject:
        """ProjectMissing where it was deleted."""
        ...

    def create_project(self, title: str, interface: str) -> StudioProject: ...

    def change_interface(self, project_id: int, interface: str) -> None: ...

    def set_model_version(self, project_id: int, version: str) -> None:
        """Whose predictions are shown: StudioRefused where no prediction there has this version;
        by an empty one none is chosen, until the next import chooses."""
        ...

    def import_tasks(self, project_id: int, tasks: Sequence[NewStudioTask]) -> Sequence[int]:
        """The new tasks' ids in the same order; all of them are made, or none."""
        ...

    def find_tasks(self, project_id: int, image_ids: Sequence[str]) -> Mapping[str, Sequence[int]]:
        """Tasks by the image's id; more than one where somebody imported it twice."""
        ...

    def get_task(self, task_id: int) -> StudioTask | None:
        """With its annotations; None where it is gone."""
        ...

    def list_changed(
        self, project_id: int, since: datetime | None, after: int = 0
    ) -> Iterator[StudioTask]:
        """Tasks changed at `since` or later, by their time of change and then by number, with their
        annotations; read page by page, and each page released before the next.

        Of those changed at that very time, the ones with a number above `after` alone.
        """
        ...

    def list_task_ids(self, project_id: int) -> Iterator[tuple[int, str | None]]:
        """Every task and its image's id, without annotations."""
        ...

    def delete_tasks(self, task_ids: Sequence[int]) -> None:
        """With their annotations; some may be gone already."""
        ...

    def add_prediction(self, task_id: int, prediction: StudioPrediction) -> None:
        """Beside those that the task has already, whatever their versions."""
        ...

    def upload(self, project_id: int, name: str, data: bytes) -> str:
        """Give Label Studio a copy of an image, each time another; its address for a task."""
        ...

    def delete_copies(self, project_id: int, names: Sequence[str]) -> Sequence[str]:
        """What was uploaded by these names can be fetched no more; its addresses. Label Studio
        keeps the files among its own: no request deletes them."""
        ...

    def ensure_webhook(self, project_id: int, url: str, headers: Mapping[str, str]) -> None: ...

    def ensure_storage(self, project_id: int, storage: SourceStorage) -> None:
        """Make or renew the project's S3 source storage, through which it shows images."""
        ...

    def ensure_backend(self, project_id: int, url: str, title: str, login: tuple[str, str]) -> None:
        """Make or renew the project's ML backend, with basic authentication."""
        ...


@dataclass(frozen=True)
class SourceStorage:
    """Images stay in the object store; Label Studio passes them on (no presigned addresses)."""

    bucket: str
    endpoint: str
    access_key: str
    secret_key: str = field(repr=False)
    region: str = "us-east-1"
    prefix: str = ""
