"""The catalog's tables. A column's comment says what its name cannot."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, DateTime, Dialect, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy.types import TypeDecorator


class UtcTime(TypeDecorator[datetime]):
    """Aware UTC in and out, whatever the database keeps."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        aware: datetime = value if value.tzinfo else value.replace(tzinfo=UTC)
        return aware.astimezone(UTC)


class Table(DeclarativeBase):
    # None as NULL, not as JSON's null, which `is_not(None)` finds.
    type_annotation_map = {  # noqa: RUF012
        datetime: UtcTime,
        dict[str, Any]: JSON(none_as_null=True),
        list[str]: JSON(),
    }


class CameraRow(Table):
    """A source, when it is due, and the lease of the poll under way."""

    __tablename__ = "cameras"

    id: Mapped[str] = mapped_column(primary_key=True)
    record: Mapped[dict[str, Any]]  # records.Camera
    host: Mapped[str]
    paused: Mapped[bool]
    due_at: Mapped[datetime] = mapped_column(index=True)
    lease_token: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    failures: Mapped[int] = mapped_column(default=0)  # in a row
    etag: Mapped[str | None]
    last_modified: Mapped[str | None]
    polls: Mapped[int] = mapped_column(default=0)
    polled_at: Mapped[datetime | None]
    kept_at: Mapped[datetime | None]
    outcome: Mapped[str | None]  # the last poll's
    reason: Mapped[str] = mapped_column(default="")


class FeedRow(Table):
    """A public list of cameras: when it is asked for again, and the lease of who asks now."""

    __tablename__ = "feeds"

    id: Mapped[str] = mapped_column(primary_key=True)
    due_at: Mapped[datetime]
    lease_token: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    failures: Mapped[int] = mapped_column(default=0)  # in a row
    reason: Mapped[str] = mapped_column(default="")  # of the last one
    found_at: Mapped[datetime | None]  # when it last gave its list
    cameras: Mapped[int] = mapped_column(default=0)  # how many it listed then
    known: Mapped[list[str]] = mapped_column(default=list)  # ids that were taken up or removed


class HostSlotRow(Table):
    """One of the polls that may run against a host at once."""

    __tablename__ = "host_slots"

    host: Mapped[str] = mapped_column(primary_key=True)
    slot: Mapped[int] = mapped_column(primary_key=True)
    token: Mapped[str | None]
    until: Mapped[datetime | None]


class ImageRow(Table):
    """An image and how far it is."""

    __tablename__ = "images"
    __table_args__ = (
        UniqueConstraint("source", "sha256_received"),
        Index("images_by_source_and_time", "source", "captured_at"),
        Index("images_by_state", "state", "announce_at"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    source: Mapped[str]
    sha256_received: Mapped[str]
    captured_at: Mapped[datetime]
    state: Mapped[str]
    reason: Mapped[str] = mapped_column(default="")
    updated_at: Mapped[datetime]
    attempts: Mapped[int] = mapped_column(default=0)
    claim_token: Mapped[str | None]
    claimed_until: Mapped[datetime | None]
    announce_at: Mapped[datetime | None]  # when the sweep says it again
    announcements: Mapped[int] = mapped_column(default=0)
    width: Mapped[int | None]
    height: Mapped[int | None]
    phash: Mapped[str | None]
    look: Mapped[dict[str, Any] | None]  # novelty.Look, of the source's last four kept alone
    faces: Mapped[int] = mapped_column(default=0)
    vehicles: Mapped[int] = mapped_column(default=0)
    labels: Mapped[list[ImageLabelRow]] = relationship(
        cascade="all, delete-orphan", passive_deletes=True, lazy="selectin"
    )


class ImageLabelRow(Table):
    """How often a label was found in an image."""

    __tablename__ = "image_labels"

    image_id: Mapped[str] = mapped_column(
        ForeignKey("images.id", ondelete="CASCADE"), primary_key=True
    )
    label: Mapped[str] = mapped_column(primary_key=True, index=True)
    count: Mapped[int]


class DropRow(Table):
    """A frame that was not kept, or a poll that failed: when, why, and what it resembled."""

    __tablename__ = "drops"
    __table_args__ = (Index("drops_by_source_and_time", "source", "at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    source: Mapped[str]
    at: Mapped[datetime]
    outcome: Mapped[str]
    reason: Mapped[str]
    resembles: Mapped[str | None]
    image_id: Mapped[str | None] = mapped_column(index=True)  # whose bytes wait in raw/dropped/
    expires_at: Mapped[datetime | None]
    restored_at: Mapped[datetime | None]


class CounterRow(Table):
    """How often an outcome was met, per source and hour."""

    __tablename__ = "counters"

    source: Mapped[str] = mapped_column(primary_key=True)
    hour: Mapped[datetime] = mapped_column(primary_key=True)
    outcome: Mapped[str] = mapped_column(primary_key=True)
    count: Mapped[int]


class TombstoneRow(Table):
    """An erased image: ingest drops its bytes, maintenance deletes until nothing is left."""

    __tablename__ = "tombstones"
    __table_args__ = (Index("tombstones_by_bytes", "source", "sha256_received"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    source: Mapped[str]
    sha256_received: Mapped[str]
    erased_at: Mapped[datetime]
    repeat_until: Mapped[datetime | None]  # deletes are repeated till then


class LabelingTaskRow(Table):
    """An image and its labeling task: considered, claimed by who sends it, sent, gone or failed."""

    __tablename__ = "labeling_tasks"
    __table_args__ = (
        UniqueConstraint("project", "task_id"),
        Index("labeling_tasks_by_state", "project", "state", "asked", "rank", "image_id"),
        Index("labeling_tasks_by_day", "project", "state", "source", "day", "rank", "image_id"),
        Index(
            "labeling_tasks_by_claim",
            "project",
            "claim_token",
            # Of the few that are claimed alone: else a search for what is free would go by it.
            sqlite_where=text("claim_token IS NOT NULL"),
            postgresql_where=text("claim_token IS NOT NULL"),
        ),
        Index("labeling_tasks_by_image", "image_id"),
    )

    project: Mapped[str] = mapped_column(primary_key=True)
    image_id: Mapped[str] = mapped_column(primary_key=True)
    source: Mapped[str]
    day: Mapped[str]  # of its capture, as in a key: a quota is per source and day
    state: Mapped[str]  # labeling.TaskState
    asked: Mapped[bool] = mapped_column(default=False)  # by a person: first, and beyond the quota
    rank: Mapped[float] = mapped_column(default=0)  # the lowest goes first
    reason: Mapped[str] = mapped_column(default="")  # why it was sent, left out, or failed
    claim_token: Mapped[str | None]
    claimed_until: Mapped[datetime | None]
    task_id: Mapped[int | None]
    # Of a copy over there that no labeling task shows yet; empty where there may be one, or was.
    copy_address: Mapped[str | None]
    updated_at: Mapped[datetime]


class AnnotationRow(Table):
    """The newest revision of what one person said of one image."""

    __tablename__ = "annotations"
    __table_args__ = (
        Index("annotations_by_image", "image_id"),
        Index("annotations_by_task", "project", "task_id"),
    )

    project: Mapped[str] = mapped_column(primary_key=True)
    annotation: Mapped[str] = mapped_column(primary_key=True)  # its number there
    image_id: Mapped[str] = mapped_column(primary_key=True)  # numbers may be given again
    task_id: Mapped[int | None]
    revision: Mapped[str]
    status: Mapped[str]  # annotations.AnnotationStatus
    author: Mapped[str]
    ground_truth: Mapped[bool] = mapped_column(default=False)
    updated_at: Mapped[datetime]  # over there
    labels: Mapped[dict[str, Any]]  # label to how many were outlined
    problems: Mapped[list[str]] = mapped_column(default=list)


class LabelingProjectRow(Table):
    """A project of a Label Studio: how far its changes were followed, and what is wrong with it."""

    __tablename__ = "labeling_projects"

    project: Mapped[str] = mapped_column(primary_key=True)
    followed_to: Mapped[datetime | None]  # changes up to then are here
    compared_at: Mapped[datetime | None]  # when all its tasks were last gone through
    contacted_at: Mapped[datetime | None]  # when it last answered
    reason: Mapped[str] = mapped_column(default="")  # why it does not now
    notes: Mapped[list[str]] = mapped_column(default=list)  # what a person should know of it
