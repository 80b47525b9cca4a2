"""The catalog as one object: its parts by noun, and its schema brought up to date."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, inspect, make_url, text
from sqlalchemy.orm import Session

from pipeline.catalog.annotations import Annotations
from pipeline.catalog.cameras import Cameras
from pipeline.catalog.counters import Counters
from pipeline.catalog.drops import Drops
from pipeline.catalog.engine import Transactions, make_engine
from pipeline.catalog.feeds import Feeds
from pipeline.catalog.images import Images
from pipeline.catalog.labeling.claims import LabelingClaims
from pipeline.catalog.labeling.projects import LabelingProjects
from pipeline.catalog.labeling.tasks import LabelingTasks
from pipeline.catalog.slots import Slots
from pipeline.catalog.tombstones import Tombstones
from pipeline.catalog.work import Work
from pipeline.errors import CatalogError, PipelineError, UserError

NEWEST = "0003"  # revision of the schema

_NEWER = "it was made by a newer Traboule: use that one"
_MIGRATION_LOCK = 5_170_523  # any number that nobody else uses


@dataclass(frozen=True)
class Catalog:
    engine: Engine
    cameras: Cameras
    feeds: Feeds
    slots: Slots
    images: Images
    work: Work
    drops: Drops
    counters: Counters
    tombstones: Tombstones
    labeling: LabelingTasks
    labeling_claims: LabelingClaims
    labeling_projects: LabelingProjects
    annotations: Annotations

    def close(self) -> None:
        self.engine.dispose()


def open_catalog(url: str) -> Catalog:
    """Open the database. SQLite's is made or migrated to this version; a server's never is: init
    does that, with rights of its own.

    UserError when it cannot be, or a newer version made it; CatalogError when init was not there
    yet.
    """
    address = make_url(url)
    if address.get_backend_name() == "sqlite" and address.database:
        _make_folder(Path(address.database).parent)
    engine = make_engine(address)
    transactions = Transactions(engine)
    try:
        if engine.dialect.name == "sqlite":
            migrate(transactions)
        else:
            _check_revision(transactions)
    except PipelineError:
        engine.dispose()
        raise
    return assemble(transactions)


def assemble(transactions: Transactions) -> Catalog:
    return Catalog(
        engine=transactions.engine,
        cameras=Cameras(transactions),
        feeds=Feeds(transactions),
        slots=Slots(transactions),
        images=Images(transactions),
        work=Work(transactions),
        drops=Drops(transactions),
        counters=Counters(transactions),
        tombstones=Tombstones(transactions),
        labeling=LabelingTasks(transactions),
        labeling_claims=LabelingClaims(transactions),
        labeling_projects=LabelingProjects(transactions),
        annotations=Annotations(transactions),
    )


def migrate(transactions: Transactions) -> None:
    """Bring the schema to the newest revision; two processes may try at once.

    UserError where a newer version made it.
    """
    if _revision(transactions) == NEWEST:
        return
    from alembic import command  # takes longer than most commands
    from alembic.config import Config
    from alembic.util.exc import CommandError

    config = Config()
    config.set_main_option("script_location", "pipeline.catalog:migrations")
    with _migrating(transactions) as session:
        config.attributes["connection"] = session.connection()
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise UserError(
                f"the catalog's schema is not known here ({error}); {_NEWER}"
            ) from error


@contextmanager
def _migrating(transactions: Transactions) -> Iterator[Session]:
    """A transaction that takes as long as it must, and that one process has at a time."""
    if transactions.engine.dialect.name == "sqlite":
        with transactions.writing() as session:
            yield session
        return
    engine = make_engine(transactions.engine.url, patient=True)
    try:
        with Transactions(engine).writing() as session:
            session.execute(text(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})"))
            yield session
    finally:
        engine.dispose()


def _check_revision(transactions: Transactions) -> None:
    revision = _revision(transactions)
    if revision is not None and revision > NEWEST:
        raise UserError(f"the catalog's schema is {revision}, not {NEWEST}; {_NEWER}")
    if revision != NEWEST:
        found = f"schema {revision}" if revision else "no tables yet"
        raise CatalogError(f"the catalog has {found}: init has not migrated it to {NEWEST} yet")


def _revision(transactions: Transactions) -> str | None:
    with transactions.reading() as session:
        if not inspect(session.connection()).has_table("alembic_version"):
            return None
        return session.scalars(text("SELECT version_num FROM alembic_version")).one_or_none()


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise UserError(f"cannot write in {folder}: {error.strerror}") from error
