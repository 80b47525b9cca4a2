"""The catalog as one object: its parts by noun, and its schema brought up to date."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, inspect, text
from sqlalchemy.engine import make_url

from pipeline.catalog.cameras import Cameras
from pipeline.catalog.counters import Counters
from pipeline.catalog.drops import Drops
from pipeline.catalog.engine import Transactions, make_engine
from pipeline.catalog.images import Images
from pipeline.catalog.slots import Slots
from pipeline.catalog.tombstones import Tombstones
from pipeline.catalog.work import Work
from pipeline.errors import UserError

NEWEST = "0001"  # revision of the schema


@dataclass(frozen=True)
class Catalog:
    engine: Engine
    cameras: Cameras
    slots: Slots
    images: Images
    work: Work
    drops: Drops
    counters: Counters
    tombstones: Tombstones

    def close(self) -> None:
        self.engine.dispose()


def open_catalog(url: str) -> Catalog:
    """Open the database, made or migrated to this version. UserError when it cannot be."""
    database = make_url(url).database
    if url.startswith("sqlite:") and database:
        _make_folder(Path(database).parent)
    engine = make_engine(url)
    transactions = Transactions(engine)
    migrate(transactions)
    return Catalog(
        engine=engine,
        cameras=Cameras(transactions),
        slots=Slots(transactions),
        images=Images(transactions),
        work=Work(transactions),
        drops=Drops(transactions),
        counters=Counters(transactions),
        tombstones=Tombstones(transactions),
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
    with transactions.writing() as session:
        config.attributes["connection"] = session.connection()
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise UserError(
                f"the catalog's schema is not known here ({error}); it was made by a newer "
                "Traboule: use that one"
            ) from error


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
