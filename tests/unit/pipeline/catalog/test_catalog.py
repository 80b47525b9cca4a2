"""A schema is brought up to date once, and left alone after that."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from pipeline.catalog import open_catalog
from pipeline.catalog.catalog import NEWEST
from pipeline.catalog.integrity import examine
from pipeline.errors import UserError


def test_newest_revision_is_the_last_migrations(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'catalog.sqlite3'}"
    open_catalog(url).close()
    found = examine(url)
    assert found.revision == found.newest == NEWEST


def test_catalog_up_to_date_opens_while_another_writes(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite3"
    open_catalog(f"sqlite:///{path}").close()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        open_catalog(f"sqlite:///{path}").close()  # to write, it would wait and fail


def test_catalog_of_a_newer_version_is_refused_in_plain_words(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite3"
    open_catalog(f"sqlite:///{path}").close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(UserError, match="made by a newer Traboule"):
        open_catalog(f"sqlite:///{path}")
