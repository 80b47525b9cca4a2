"""Whether a catalog can be read and which version made it, found out without changing it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from pipeline.catalog.engine import make_engine

SHOWN_FAULTS = 3


@dataclass(frozen=True)
class Integrity:
    """`damage` says what is wrong, where something is; `revision` is the schema's, `newest` the
    one of this version, which knows the revision or not (a newer version's)."""

    damage: str = ""
    revision: str | None = None
    newest: str | None = None
    is_known: bool = True


def is_there(url: str) -> bool:
    """Whether there is a catalog to look at: to open SQLite's would make it."""
    parts = make_url(url)
    return parts.get_backend_name() != "sqlite" or Path(parts.database or "").is_file()


def examine(url: str) -> Integrity:
    """Read the schema's revision and, on SQLite, check every page."""
    engine = make_engine(url)
    try:
        with engine.connect() as connection:
            damage = _find_damage(connection)
            if damage:
                return Integrity(damage)
            revision = MigrationContext.configure(connection).get_current_revision()
    except DBAPIError as error:
        return Integrity(" ".join(str(error.orig).split()))
    finally:
        engine.dispose()
    config = Config()
    config.set_main_option("script_location", "pipeline.catalog:migrations")
    scripts = ScriptDirectory.from_config(config)
    known = {script.revision for script in scripts.walk_revisions()}
    is_known = revision is None or revision in known
    return Integrity("", revision, scripts.get_current_head(), is_known)


def _find_damage(connection: Connection) -> str:
    if connection.dialect.name != "sqlite":
        return ""
    told = connection.execute(text(f"PRAGMA quick_check({SHOWN_FAULTS})")).scalars().all()
    return "" if told == ["ok"] else "; ".join(told)
