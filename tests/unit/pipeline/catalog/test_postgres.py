from __future__ import annotations

import pytest

from pipeline.catalog import open_catalog, postgres
from pipeline.catalog.postgres import StorableDumper
from pipeline.errors import CatalogError
from tests.raw_server import Serve


def test_server_that_accepts_and_says_nothing_is_given_up(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "CONNECT_WITHIN_S", 2)  # the least that libpq knows
    silent = serve(b"")
    with pytest.raises(CatalogError, match="did not answer: connection timeout expired"):
        open_catalog(f"postgresql+psycopg://capture:secret@{silent.address}/traboule")


def test_nobody_there_is_a_catalog_error() -> None:
    with pytest.raises(CatalogError, match=r"at 127\.0\.0\.1:9 did not answer: .*refused"):
        open_catalog("postgresql+psycopg://capture:secret@127.0.0.1:9/traboule")


def test_text_that_postgres_refuses_is_made_storable() -> None:
    dumper = StorableDumper(str)
    assert bytes(dumper.dump('"\0é"')) == '"�é"'.encode()
