from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from infra.init.rights import ALL_OF_A_BUCKET, ALL_OF_A_TABLE, BUCKETS, RIGHTS, TABLES, Rights
from pipeline import keys
from pipeline.catalog import open_catalog
from pipeline.catalog.tables import Table
from pipeline.routes import SENDERS
from pipeline.storage import FolderStore, ObjectInfo, StoredObject
from tests.unit.infra.init.exercises import Means, play_all
from tests.unit.infra.init.labeling_exercises import OWNER

STAGES = ("scheduler", "capture", "detection", "labeling", "maintenance")
Used = dict[str, set[str]]

_STATEMENT = re.compile(r"\b(INSERT INTO|DELETE FROM|UPDATE|FROM|JOIN) (\w+)")
# What a change reads besides: its condition, its conflict, the key that it is given.
_VERBS = {
    "INSERT INTO": {"insert", "select"},
    "DELETE FROM": {"delete", "select"},
    "UPDATE": {"update", "select"},
    "FROM": {"select"},
    "JOIN": {"select"},
}


@dataclass
class Ledger:
    """What one service did: table to verbs, bucket to verbs."""

    tables: Used = field(default_factory=lambda: defaultdict(set))
    buckets: Used = field(default_factory=lambda: defaultdict(set))
    free_space: bool = False

    def note_statement(self, _: Any, __: Any, statement: str, *___: Any) -> None:
        changed = ""
        for verb, name in _STATEMENT.findall(statement):
            if name == "SET":  # ON CONFLICT DO UPDATE SET
                self.tables[changed] |= _VERBS["UPDATE"]
            elif name in Table.metadata.tables:
                self.tables[name] |= _VERBS[verb]
                changed = name


class WatchedStore(FolderStore):
    def __init__(self, root: Path, ledger: Ledger) -> None:
        super().__init__(root)
        self.ledger = ledger

    def put(self, key: str, stored: StoredObject) -> None:
        self._note(key, "put")
        super().put(key, stored)

    def get(self, key: str) -> StoredObject:
        self._note(key, "get")
        return super().get(key)

    def exists(self, key: str) -> bool:
        self._note(key, "get")
        return super().exists(key)

    def delete(self, key: str) -> None:
        self._note(key, "delete")
        super().delete(key)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        self._note(prefix, "list")
        return super().list(prefix)

    def free_bytes(self) -> int | None:
        self.ledger.free_space = True
        return super().free_bytes()

    def _note(self, key: str, verb: str) -> None:
        self.ledger.buckets[key.partition("/")[0]].add(verb)


@pytest.fixture(scope="module")
def ledgers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ledger]:
    """What each service did in a play of everything they do."""
    folder = tmp_path_factory.mktemp("play")
    ledgers, cast = {name: Ledger() for name in STAGES}, {}
    with ExitStack() as stack:
        for name, ledger in ledgers.items():
            catalog = open_catalog(f"sqlite:///{folder / 'catalog.sqlite3'}")
            stack.enter_context(closing(catalog))
            event.listen(catalog.engine, "before_cursor_execute", ledger.note_statement)
            cast[name] = Means(catalog, WatchedStore(folder / "store", ledger))
        cast[OWNER] = Means(catalog, FolderStore(folder / "store"))
        play_all(cast)
    return ledgers


def split(named: Rights) -> tuple[Used, Used]:
    return (
        {table: set(verbs.split()) for table, verbs in named.tables.items()},
        {bucket: set(verbs.split()) for bucket, verbs in named.buckets.items()},
    )


@pytest.mark.parametrize("service", STAGES)
def test_stage_may_do_to_tables_what_it_does_and_no_more(
    ledgers: dict[str, Ledger], service: str
) -> None:
    assert split(RIGHTS[service])[0] == ledgers[service].tables


@pytest.mark.parametrize("service", STAGES)
def test_stage_may_do_in_buckets_what_it_does_and_no_more(
    ledgers: dict[str, Ledger], service: str
) -> None:
    assert split(RIGHTS[service])[1] == ledgers[service].buckets
    assert RIGHTS[service].free_space == ledgers[service].free_space


def test_every_table_of_the_catalog_is_named() -> None:
    assert set(TABLES) == set(Table.metadata.tables)
    for rights in RIGHTS.values():
        assert set(rights.tables) <= set(TABLES)


def test_every_bucket_of_a_key_is_made() -> None:
    prefixes = [value for value in vars(keys).values() if str(value).endswith("/")]
    assert len(prefixes) >= 6
    assert {prefix.partition("/")[0] for prefix in prefixes} <= set(BUCKETS)
    for rights in RIGHTS.values():
        assert set(rights.buckets) <= set(BUCKETS)


def test_verbs_are_known() -> None:
    for rights in RIGHTS.values():
        tables, buckets = split(rights)
        assert set().union(*tables.values()) <= set(ALL_OF_A_TABLE.split())
        assert set().union(*buckets.values()) <= set(ALL_OF_A_BUCKET.split())


def test_whoever_sends_has_rights() -> None:
    assert set(SENDERS) <= set(RIGHTS)


def test_a_reader_changes_nothing_and_sees_no_raw_frame() -> None:
    tables, buckets = split(RIGHTS["cli"])
    assert set().union(*tables.values()) == {"select"}
    assert set().union(*buckets.values()) == {"list", "get"}
    assert buckets["raw"] == {"list"}
