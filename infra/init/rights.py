"""Who may do what. Init makes users, policies and grants from this page, and from nothing else.

A user's name is its service's, on all three servers. What a service may send and consume on the
broker follows from pipeline.routes: see pipeline.broker. A table or bucket that a service's line
does not name is closed to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

RAW = "raw"
BUCKETS = (
    RAW,  # frames as received: unblurred
    "images",
    "detections",
    "sources",
    "tombstones",
    "annotations",
    "datasets",
    "models",
)
# Maintenance removes raw frames after 24 h; should it stand still, the store does, in whole days.
RAW_EXPIRES_DAYS = 2

TABLES = (
    "cameras",
    "feeds",
    "host_slots",
    "images",
    "image_labels",
    "drops",
    "counters",
    "tombstones",
    "labeling_tasks",
    "labeling_projects",
    "annotations",
)
SCHEMA = "alembic_version"  # read by everybody: which revision the schema is at

ALL_OF_A_BUCKET = "list get put delete"
ALL_OF_A_TABLE = "select insert update delete truncate"


@dataclass(frozen=True)
class Rights:
    """`buckets`: bucket to list, get, put, delete. `tables`: table to the verbs of SQL.
    `free_space`: may ask how full the store's disks are."""

    buckets: Mapping[str, str] = field(default_factory=dict)
    tables: Mapping[str, str] = field(default_factory=dict)
    free_space: bool = False


RIGHTS: Mapping[str, Rights] = {
    "scheduler": Rights(
        buckets={"sources": "put delete"},
        tables={
            "cameras": "select insert update delete",
            "feeds": "select insert update",
            "host_slots": "select insert update",
            "drops": "select insert",  # a poll that expired is counted and listed
            "counters": "select insert update",
        },
    ),
    "capture": Rights(
        buckets={"raw": "put"},
        tables={
            "cameras": "select update",
            "host_slots": "select update",
            "images": "select insert update",
            "image_labels": "select",
            "drops": "select insert update",
            "counters": "select insert update",
            "tombstones": "select",
        },
        free_space=True,
    ),
    "detection": Rights(
        buckets={
            "raw": "get delete",
            "images": "put delete",
            "detections": "get put delete",
            "tombstones": "get",
        },
        tables={
            "images": "select update",
            "image_labels": "select insert update delete",
        },
    ),
    "labeling": Rights(
        buckets={
            "images": "get",
            "detections": "list get",  # an import finds an image by its bytes
            "tombstones": "get",
            "annotations": "list get put",
        },
        tables={
            "images": "select",
            "image_labels": "select",
            "labeling_tasks": "select insert update delete",  # of what was erased over there
            "labeling_projects": "select insert update delete",  # before its project was found
            "annotations": "select insert update",
        },
    ),
    "maintenance": Rights(
        buckets={
            "raw": "list get put delete",  # puts what is restored
            "images": "delete",
            "detections": "get delete",
            "tombstones": "list get put",
            "annotations": "list delete",
        },
        tables={
            "images": "select insert update delete",  # takes up a frame without a row
            "image_labels": "select",  # they go with their image
            "drops": "select insert update delete",
            "counters": "select insert update",
            "tombstones": "select insert update",
            "labeling_tasks": "select update delete",  # what is to be erased over there
            "annotations": "select delete",
        },
    ),
    # A person's commands. What changes anything goes to its stage as a message.
    "cli": Rights(
        buckets={
            "raw": "list",  # an unblurred frame is nobody's to look at
            "images": "list get",
            "detections": "list get",
            "sources": "list get",
            "tombstones": "list get",
            "annotations": "list get",
            "datasets": "list",
            "models": "list",
        },
        tables=dict.fromkeys(TABLES, "select"),
        free_space=True,
    ),
    # A person's as well, with the pipeline stopped: rebuilding the catalog, backup, restore.
    "upkeep": Rights(
        buckets=dict.fromkeys(BUCKETS, ALL_OF_A_BUCKET),
        tables=dict.fromkeys(TABLES, ALL_OF_A_TABLE),
    ),
    # Detection once more, asked by Label Studio: it looks at an image, and keeps nothing.
    "ml-backend": Rights(buckets={"images": "get"}),
    # No service of ours: Label Studio shows images to those who label them, and changes nothing.
    # In the catalog's server it has a database of its own: see label_studio.py.
    "label-studio": Rights(buckets={"images": "list get"}),
}
