"""Labeling tasks and projects as Label Studio writes them. KeyError, TypeError, ValueError and
AttributeError say that something else wrote them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from services.labeling.studio.pages import read_time
from services.labeling.studio.protocol import (
    IMAGE_ID,
    NewStudioTask,
    SourceStorage,
    StudioPrediction,
    StudioProject,
    StudioTask,
)

# Not TASKS_CREATED: that would be our own import, sent back to us whole.
WEBHOOK_ACTIONS = (
    "ANNOTATION_CREATED",
    "ANNOTATIONS_CREATED",
    "ANNOTATION_UPDATED",
    "ANNOTATIONS_DELETED",
    "TASKS_DELETED",
    "PROJECT_UPDATED",
)


def name_project(url: str, number: int, created_at: datetime) -> str:
    """Its key: by its number alone it would be taken for one of the server that was there before,
    since each begins with 1."""
    return f"{url}#{number}@{created_at.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def number_of(key: str) -> int:
    """A project's number over there."""
    return int(key.rpartition("#")[2].partition("@")[0])


def read_project(url: str, row: Mapping[str, Any]) -> StudioProject:
    number = int(row["id"])
    made = read_time(row["created_at"])
    key = name_project(url, number, made)
    shown = str(row.get("model_version") or "")
    return StudioProject(number, key, str(row["title"]), str(row["label_config"]), made, shown)


def write_storage(project_id: int, storage: SourceStorage) -> dict[str, Any]:
    """Label Studio passes the images on: the browser need not reach the object store."""
    return {
        "project": project_id,
        "title": "Traboule",
        "bucket": storage.bucket,
        "prefix": storage.prefix,
        "s3_endpoint": storage.endpoint,
        "region_name": storage.region,
        "aws_access_key_id": storage.access_key,
        "aws_secret_access_key": storage.secret_key,
        "use_blob_urls": True,
        "presign": False,
    }


def write_webhook(project_id: int, url: str, headers: Mapping[str, str]) -> dict[str, Any]:
    return {
        "project": project_id,
        "url": url,
        "headers": dict(headers),
        "actions": WEBHOOK_ACTIONS,
        "send_for_all_actions": False,
        "send_payload": True,
        "is_active": True,
    }


def write_task(task: NewStudioTask) -> dict[str, Any]:
    written: dict[str, Any] = {"data": task.data}
    if task.predictions:
        written["predictions"] = [write_prediction(made) for made in task.predictions]
    if task.annotations:
        written["annotations"] = list(task.annotations)
    return written


def write_prediction(made: StudioPrediction) -> dict[str, Any]:
    return {
        "model_version": made.model_version,
        "score": made.score,
        "result": list(made.result),
    }


def read_task(row: Mapping[str, Any]) -> StudioTask:
    return StudioTask(
        id=int(row["id"]),
        image_id=image_id_of(row["data"]),
        data=row["data"],
        updated_at=read_time(row["updated_at"]),
        annotations=row.get("annotations", ()),
        predictions=row.get("predictions", ()),
    )


def upload_address(file: str) -> str:
    """The address of an uploaded file, as a task's data has it."""
    return "/data/" + quote(file)


def uploaded_name(file: str) -> str:
    """The name that an uploaded file was given with: Label Studio puts eight digits before it."""
    return file.rpartition("/")[2].partition("-")[2]


def image_id_of(data: Mapping[str, Any]) -> str | None:
    value = data.get(IMAGE_ID)
    return value if isinstance(value, str) else None
