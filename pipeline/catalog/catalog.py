"""The catalog as one object: its parts by noun, and its schema brought up to date."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine
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
    """Bring the schema to the newest revision; two processes may try at once."""
    config = Config()
    config.set_main_option("script_location", "pipeline.catalog:migrations")
    with transactions.writing() as session:
        config.attributes["connection"] = session.connection()
        command.upgrade(config, "head")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write in {folder}: {error.strerror}") from error
