"""Label Studio's part of the catalog's server: a role, and a database that is its alone."""

from __future__ import annotations

from urllib.parse import urlsplit

from psycopg import sql

from infra.init.addresses import log_in_as, user_of
from infra.init.administrator import set_administrator
from infra.init.catalog import connect, explained
from infra.init.grants import Connection, say_password, set_passwords
from infra.init.passwords import CATALOG_OWNER, LABEL_STUDIO, password_of
from infra.init.report import Report
from infra.init.secrets_folder import SecretsFolder
from pipeline.errors import CatalogError

DATABASE = "label_studio"
# Of the server's 200: Label Studio takes one for each request that it answers at a time.
_MAKE_ROLE = sql.SQL("CREATE ROLE {} LOGIN CONNECTION LIMIT 50 PASSWORD {}")
_HAS_ROLE = "SELECT 1 FROM pg_roles WHERE rolname = %s"
_HAS_DATABASE = "SELECT 1 FROM pg_database WHERE datname = %s"
_OTHERS = """
    SELECT 1 FROM pg_database, aclexplode(coalesce(datacl, acldefault('d', datdba)))
    WHERE datname = %s AND grantee <> datdba
"""


def set_up_label_studio(url: str, folder: SecretsFolder, report: Report) -> None:
    """`url` is the catalog's, where its owner knows the password that is to be his."""
    place = urlsplit(url)._replace(path=f"/{DATABASE}").geturl()
    password = folder.coming(password_of(LABEL_STUDIO))

    def can_log_in(role: str, password: str) -> bool:
        session = connect(log_in_as(place, role, password))
        if session is None:
            return False
        session.close()
        return True

    with explained(), _open(url, user_of(url), folder.coming(CATALOG_OWNER)) as connection:
        _make_database(connection, password, report)
        set_passwords(connection, {LABEL_STUDIO: password}, can_log_in, report)
    # As its own role: what somebody put into its database must not be carried out by a superuser.
    with explained(), _open(place, LABEL_STUDIO, password) as connection:
        set_administrator(connection, folder, report)


def _make_database(connection: Connection, password: str, report: Report) -> None:
    role, database = sql.Identifier(LABEL_STUDIO), sql.Identifier(DATABASE)
    if connection.execute(_HAS_ROLE, (LABEL_STUDIO,)).fetchone() is None:
        say_password(connection, _MAKE_ROLE, LABEL_STUDIO, password)
        report.did(f"catalog: role {LABEL_STUDIO} made")
    if connection.execute(_HAS_DATABASE, (DATABASE,)).fetchone() is None:
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(database, role))
        report.did(f"catalog: database {DATABASE} made")
    if connection.execute(_OTHERS, (DATABASE,)).fetchone() is not None:
        connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
        report.did(f"catalog: {DATABASE} closed to everybody else")


def _open(url: str, role: str, password: str) -> Connection:
    connection = connect(log_in_as(url, role, password))
    if connection is None:
        raise CatalogError(f"the catalog refuses the password of {role}")
    return connection
