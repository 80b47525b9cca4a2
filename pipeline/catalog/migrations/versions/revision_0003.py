"""Labeling: tasks in a Label Studio, and what people said there."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "labeling_tasks",
        sa.Column("project", sa.String(), nullable=False),
        sa.Column("image_id", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("day", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("asked", sa.Boolean(), nullable=False),
        sa.Column("rank", sa.Double(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("claim_token", sa.String(), nullable=True),
        sa.Column("claimed_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("task_id", sa.Integer(), nullable=True),
        sa.Column("copy_address", sa.String(), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("project", "image_id"),
        sa.UniqueConstraint("project", "task_id"),
    )
    op.create_index(
        "labeling_tasks_by_state",
        "labeling_tasks",
        ["project", "state", "asked", "rank", "image_id"],
    )
    op.create_index(
        "labeling_tasks_by_day",
        "labeling_tasks",
        ["project", "state", "source", "day", "rank", "image_id"],
    )
    is_claimed = sa.text("claim_token IS NOT NULL")
    op.create_index(
        "labeling_tasks_by_claim",
        "labeling_tasks",
        ["project", "claim_token"],
        sqlite_where=is_claimed,
        postgresql_where=is_claimed,
    )
    op.create_index("labeling_tasks_by_image", "labeling_tasks", ["image_id"])
    op.create_table(
        "annotations",
        sa.Column("project", sa.String(), nullable=False),
        sa.Column("annotation", sa.String(), nullable=False),
        sa.Column("image_id", sa.String(), nullable=False),
        sa.Column("task_id", sa.Integer(), nullable=True),
        sa.Column("revision", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("ground_truth", sa.Boolean(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("labels", sa.JSON(), nullable=False),
        sa.Column("problems", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("project", "annotation", "image_id"),
    )
    op.create_index("annotations_by_image", "annotations", ["image_id"])
    op.create_index("annotations_by_task", "annotations", ["project", "task_id"])
    op.create_table(
        "labeling_projects",
        sa.Column("project", sa.String(), nullable=False),
        sa.Column("followed_to", sa.DateTime(timezone=True), nullable=True),
        sa.Column("compared_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("contacted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("notes", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("project"),
    )


def downgrade() -> None:
    op.drop_table("labeling_projects")
    op.drop_table("annotations")
    op.drop_table("labeling_tasks")
