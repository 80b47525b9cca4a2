"""The catalog's server: the schema migrated, a role for each service, grants by the table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import psycopg

from infra.init.addresses import log_in_as, place_of, user_of
from infra.init.grants import ROLES, Connection, grant, make_roles, read_revision, set_passwords
from infra.init.passwords import CATALOG_OWNER
from infra.init.report import Report
from infra.init.secrets_folder import SecretsFolder
from infra.init.waiting import Login, Patience, Server
from pipeline.catalog.catalog import migrate
from pipeline.catalog.engine import Transactions, make_engine
from pipeline.errors import CatalogError

_REFUSED = "password authentication failed"
_CONNECT_WITHIN_S = 5


def log_in_to_catalog(url: str, folder: SecretsFolder, patience: Patience) -> Login[Connection]:
    server = Server(
        name="catalog",
        where=place_of(url),
        connect=lambda password: connect(log_in_as(url, user_of(url), password)),
        advice=f"put {folder.root / CATALOG_OWNER} back from a backup: PostgreSQL keeps the "
        "password of its first start",
    )
    return patience.log_in(server, lambda: folder.candidates(CATALOG_OWNER))


def connect(url: str) -> Connection | None:
    """None when the password is refused, or the role is not known."""
    try:
        return psycopg.connect(
            url.replace("postgresql+psycopg:", "postgresql:", 1),
            autocommit=True,
            connect_timeout=_CONNECT_WITHIN_S,
            application_name="init",
            client_encoding="utf8",
        )
    except psycopg.OperationalError as error:
        if _REFUSED in str(error):
            return None
        raise CatalogError(_first_line(error)) from error


def set_up_catalog(
    url: str,
    login: Login[Connection],
    passwords: Mapping[str, str],
    folder: SecretsFolder,
    report: Report,
) -> None:
    """`passwords` is by service. The login's connection is closed at the end."""
    owner = user_of(url)

    def can_log_in(role: str, password: str) -> bool:
        connection = connect(log_in_as(url, role, password))
        if connection is None:
            return False
        connection.close()
        return True

    with explained(), login.session as connection:
        _migrate(connection, log_in_as(url, owner, login.password), report)
        known = {role: passwords[role] for role in ROLES}
        make_roles(connection, known, report)
        grant(connection, report)
        everybody = {**known, owner: folder.coming(CATALOG_OWNER)}
        set_passwords(connection, everybody, can_log_in, report)


def _migrate(connection: Connection, url: str, report: Report) -> None:
    before = read_revision(connection)
    engine = make_engine(url)
    try:
        migrate(Transactions(engine))
    finally:
        engine.dispose()
    revision = read_revision(connection)
    if revision != before:
        report.did(f"catalog: schema {revision}")


@contextmanager
def explained() -> Iterator[None]:
    """What goes wrong in there, as an error of ours."""
    try:
        yield
    except psycopg.Error as error:
        what = "the catalog did not do what init asked"
        raise CatalogError(f"{what}: {_first_line(error)}") from error


def _first_line(error: psycopg.Error) -> str:
    return str(error).strip().split("\n", 1)[0]
