from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from pipeline.catalog import open_catalog
from pipeline.catalog.integrity import Integrity, examine, is_there


def test_catalog_that_was_just_made_is_intact_and_newest(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'catalog.sqlite3'}"
    assert not is_there(url)
    open_catalog(url).close()
    assert is_there(url)
    found = examine(url)
    assert found.revision is not None
    assert found == Integrity("", found.revision, found.revision, True)


def test_file_that_is_no_database_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite3"
    path.write_bytes(b"no database at all" * 100)
    assert examine(f"sqlite:///{path}").damage == "file is not a database"


def test_revision_of_another_version_is_not_known(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite3"
    open_catalog(f"sqlite:///{path}").close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    found = examine(f"sqlite:///{path}")
    assert (found.damage, found.revision, found.is_known) == ("", "9999", False)
