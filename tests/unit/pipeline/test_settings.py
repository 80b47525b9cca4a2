from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from pipeline.catalog import open_catalog
from pipeline.settings import PipelineSettings
from pipeline.storage import FolderStore, open_store

ADDRESSES = ("BROKER_URL", "STORE_URL", "CATALOG_URL")


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ADDRESSES:
        monkeypatch.delenv(f"PIPELINE_{name}", raising=False)


def test_addresses_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ADDRESSES:
        monkeypatch.setenv(f"PIPELINE_{name}", f"memory://{name}")
    settings = PipelineSettings()
    assert settings.broker_url == "memory://BROKER_URL"
    assert settings.store_url == "memory://STORE_URL"
    assert settings.catalog_url == "memory://CATALOG_URL"


def test_address_that_is_missing_is_an_error_that_names_it() -> None:
    with pytest.raises(ValidationError, match="store_url"):
        PipelineSettings()


@pytest.mark.parametrize("name", ["data", "with space", "été #1?a=b", "100%25"])
def test_folder_of_any_name_holds_store_and_catalog(tmp_path: Path, name: str) -> None:
    data = tmp_path / name
    settings = PipelineSettings.of_folder(data)
    store = open_store(settings.store_url)
    assert isinstance(store, FolderStore)
    assert store.root == data / "store"
    open_catalog(settings.catalog_url).close()
    assert (data / "catalog.sqlite3").is_file()


def test_folder_goes_before_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPELINE_BROKER_URL", "redis://elsewhere/0")
    assert PipelineSettings.of_folder(tmp_path).broker_url.startswith("memory:")
