"""Where the three shared pieces are: broker, object store, catalog. Read once per process."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from pipeline.errors import UserError

_PIECES = ("broker", "store", "catalog")


class PipelineSettings(BaseSettings):
    """`PIPELINE_BROKER_URL`, `PIPELINE_STORE_URL`, `PIPELINE_CATALOG_URL`.

    A password is in the URL or in the file that `PIPELINE_…_PASSWORD_FILE` names; once loaded, the
    URLs hold it: they are not shown. UserError when such a file cannot be used.
    """

    model_config = SettingsConfigDict(
        env_prefix="PIPELINE_", frozen=True, env_ignore_empty=True, hide_input_in_errors=True
    )

    broker_url: str = Field(repr=False)
    store_url: str = Field(repr=False)
    catalog_url: str = Field(repr=False)
    broker_password_file: Path | None = None
    store_password_file: Path | None = None
    catalog_password_file: Path | None = None

    @classmethod
    def of_folder(cls, data: Path) -> PipelineSettings:
        """The embedded default: everything below one folder, messages in memory."""
        return cls(
            broker_url="memory://localhost/",
            store_url=(data / "store").as_uri(),
            catalog_url=f"sqlite:///{quote(str(data / 'catalog.sqlite3'))}",
            broker_password_file=None,  # the environment's are not for these
            store_password_file=None,
            catalog_password_file=None,
        )

    @model_validator(mode="before")
    @classmethod
    def _add_passwords(cls, given: dict[str, Any]) -> dict[str, Any]:
        loaded = dict(given)
        for piece in _PIECES:
            url, file = loaded.get(f"{piece}_url"), loaded.get(f"{piece}_password_file")
            if url and file:
                variable = f"PIPELINE_{piece.upper()}"
                password = read_password(f"{variable}_PASSWORD_FILE", Path(file))
                loaded[f"{piece}_url"] = _add_password(f"{variable}_URL", url, password)
        return loaded


def read_password(variable: str, file: Path) -> str:
    """Without the newline at its end, which editors add."""
    try:
        password = file.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text"
        raise UserError(f"{variable}: cannot read {file}: {reason}") from None
    if not password:
        raise UserError(f"{variable}: {file} is empty: it should hold a password")
    return password


def _add_password(variable: str, url: str, password: str) -> str:
    """`url` with its password, percent-encoded, in place of any it has."""
    parts = urlsplit(url)
    login, _, host = parts.netloc.rpartition("@")
    if not host:
        raise UserError(f"{variable} names no server, so it can have no password file")
    user = login.partition(":")[0]
    return parts._replace(netloc=f"{user}:{quote(password, safe='')}@{host}").geturl()
