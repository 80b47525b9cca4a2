from __future__ import annotations

from pathlib import Path

import pytest
from kombu import Connection
from pydantic import ValidationError
from sqlalchemy import make_url

from pipeline.catalog import open_catalog
from pipeline.errors import UserError
from pipeline.settings import PipelineSettings
from pipeline.storage import FolderStore, open_store
from pipeline.storage.s3_address import read_address

ADDRESSES = ("BROKER_URL", "STORE_URL", "CATALOG_URL")


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ADDRESSES:
        monkeypatch.delenv(f"PIPELINE_{name}", raising=False)
        monkeypatch.delenv(f"PIPELINE_{name.replace('URL', 'PASSWORD_FILE')}", raising=False)


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
    monkeypatch.setenv("PIPELINE_BROKER_PASSWORD_FILE", str(tmp_path / "none"))
    assert PipelineSettings.of_folder(tmp_path).broker_url == "memory://localhost/"


@pytest.fixture
def composed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The environment of a service, and its file with the password."""
    monkeypatch.setenv("PIPELINE_BROKER_URL", "redis://capture@broker:6379/0")
    monkeypatch.setenv("PIPELINE_STORE_URL", "s3+http://capture@object-store:9000/lyon-?region=a")
    monkeypatch.setenv("PIPELINE_CATALOG_URL", "postgresql+psycopg://capture@catalog:5432/traboule")
    file = tmp_path / "password"
    file.write_text("hush\n")
    for name in ADDRESSES:
        monkeypatch.setenv(f"PIPELINE_{name.replace('URL', 'PASSWORD_FILE')}", str(file))
    return file


@pytest.mark.usefixtures("composed")
def test_passwords_come_from_files() -> None:
    settings = PipelineSettings()
    assert settings.broker_url == "redis://capture:hush@broker:6379/0"
    assert settings.store_url == "s3+http://capture:hush@object-store:9000/lyon-?region=a"
    assert settings.catalog_url == "postgresql+psycopg://capture:hush@catalog:5432/traboule"


@pytest.mark.parametrize("password", ["p@ss/w:rd?#%[]é &+=", "%41", "'\"\\", " x "])
def test_password_of_any_text_reaches_all_three(composed: Path, password: str) -> None:
    composed.write_text(password + "\r\n", encoding="utf-8")
    settings = PipelineSettings()
    assert Connection(settings.broker_url).password == password
    assert read_address(settings.store_url).password == password
    assert make_url(settings.catalog_url).password == password


def test_file_goes_before_a_password_in_the_address(
    composed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPELINE_BROKER_URL", "redis://:old@broker:6379/0")
    assert PipelineSettings().broker_url == "redis://:hush@broker:6379/0"
    monkeypatch.setenv("PIPELINE_BROKER_PASSWORD_FILE", "")
    assert PipelineSettings().broker_url == "redis://:old@broker:6379/0"


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "No such file"), (b"", "is empty"), (b"\n", "is empty")]
)
def test_password_file_that_cannot_be_used_is_named(
    composed: Path, content: bytes | None, reason: str
) -> None:
    composed.unlink()
    if content is not None:
        composed.write_bytes(content)
    with pytest.raises(UserError, match=reason) as caught:
        PipelineSettings()
    assert str(caught.value).startswith("PIPELINE_BROKER_PASSWORD_FILE: ")
    assert str(composed) in str(caught.value)


def test_password_file_that_is_no_text_shows_nothing_of_it(composed: Path) -> None:
    composed.write_bytes(b"hush\xff")
    with pytest.raises(UserError, match="not a text") as caught:
        PipelineSettings()
    assert "hush" not in str(caught.value)


def test_address_without_a_server_can_have_no_password(
    composed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPELINE_CATALOG_URL", "sqlite:////data/catalog.sqlite3")
    with pytest.raises(UserError, match="PIPELINE_CATALOG_URL names no server"):
        PipelineSettings()


@pytest.mark.usefixtures("composed")
def test_addresses_are_not_shown() -> None:
    assert "hush" not in repr(PipelineSettings())
    assert "broker:6379" not in str(PipelineSettings())


def test_error_shows_no_secret_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_BROKER_URL", "redis://:hush@b/0")
    monkeypatch.setenv("PIPELINE_STORE_URL", "")
    with pytest.raises(ValidationError, match="store_url") as caught:
        PipelineSettings()
    assert "hush" not in str(caught.value)
