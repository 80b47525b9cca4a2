"""PostgreSQL's roles and what each may do: read, compared with the table of rights, and changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import psycopg
from psycopg import sql

from infra.init.report import Report
from infra.init.rights import ALL_OF_A_TABLE, RIGHTS, SCHEMA, Rights

Connection = psycopg.Connection[tuple[Any, ...]]
Grant = tuple[str, str]  # a table or sequence, and a privilege
ROLES = tuple(user for user, rights in RIGHTS.items() if rights.tables)  # who comes in here

_READ = """
    SELECT relname, lower(privilege_type) FROM pg_class, aclexplode(relacl)
    WHERE relnamespace = 'public'::regnamespace AND grantee = %s::regrole
"""
_SEQUENCES = """
    SELECT owner.relname, sequence.relname FROM pg_class sequence
    JOIN pg_depend ON pg_depend.objid = sequence.oid AND deptype IN ('a', 'i')
    JOIN pg_class owner ON owner.oid = pg_depend.refobjid
    WHERE sequence.relkind = 'S' AND sequence.relnamespace = 'public'::regnamespace
"""
_CONNECTING = """
    SELECT CASE grantee WHEN 0 THEN '' ELSE pg_get_userbyid(grantee) END
    FROM pg_database, aclexplode(coalesce(datacl, acldefault('d', datdba)))
    WHERE datname = current_database() AND privilege_type IN ('CONNECT', 'TEMPORARY')
"""
_EVERYBODY = ""


def read_revision(connection: Connection) -> str | None:
    """The schema's; None while there is none."""
    if connection.execute("SELECT to_regclass(%s)", (SCHEMA,)).fetchone() == (None,):
        return None
    found = connection.execute(f"SELECT version_num FROM {SCHEMA}").fetchone()
    return None if found is None else str(found[0])


def make_roles(connection: Connection, passwords: Mapping[str, str], report: Report) -> None:
    """A role per service, with the password it is to know."""
    rows = connection.execute("SELECT rolname FROM pg_roles WHERE rolcanlogin").fetchall()
    there = {name for (name,) in rows}
    for role in (role for role in passwords if role not in there):
        verb = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}")
        say_password(connection, verb, role, passwords[role])
        report.did(f"catalog: role {role} made")
    _let_connect(connection, report)


def set_passwords(
    connection: Connection,
    passwords: Mapping[str, str],
    can_log_in: Callable[[str, str], bool],
    report: Report,
) -> None:
    """Where a role does not know its password, it is given it."""
    for role, password in passwords.items():
        if not can_log_in(role, password):
            say_password(connection, sql.SQL("ALTER ROLE {} PASSWORD {}"), role, password)
            report.did(f"catalog: password of {role} changed")


def grant(connection: Connection, report: Report) -> None:
    """Each role's privileges, in one transaction: nobody is without rights for a moment."""
    sequences: dict[str, str] = dict(connection.execute(_SEQUENCES).fetchall())
    for role in ROLES:
        wanted = wanted_grants(RIGHTS[role], sequences)
        found = set(connection.execute(_READ, (role,)).fetchall())
        if found == wanted:
            continue
        with connection.transaction():
            _replace(connection, role, wanted, set(sequences.values()))
        report.did(f"catalog: rights of {role} set")


def wanted_grants(rights: Rights, sequences: Mapping[str, str]) -> set[Grant]:
    """`sequences`: table to the sequence that numbers its rows."""
    wanted = {(SCHEMA, "select")}
    for table, verbs in rights.tables.items():
        wanted |= {(table, verb) for verb in verbs.split()}
        if table in sequences and "insert" in verbs:
            wanted.add((sequences[table], "usage"))
        if table in sequences and verbs == ALL_OF_A_TABLE:  # a restore sets the next number
            wanted |= {(sequences[table], verb) for verb in ("select", "update")}
    return wanted


def _replace(connection: Connection, role: str, wanted: set[Grant], sequences: set[str]) -> None:
    grantee = sql.Identifier(role)
    for kind in ("TABLES", "SEQUENCES"):
        connection.execute(
            sql.SQL("REVOKE ALL ON ALL {} IN SCHEMA public FROM {}").format(sql.SQL(kind), grantee)
        )
    for name, privilege in sorted(wanted):
        connection.execute(
            sql.SQL("GRANT {} ON {} {} TO {}").format(
                sql.SQL(privilege),
                sql.SQL("SEQUENCE" if name in sequences else "TABLE"),
                sql.Identifier("public", name),
                grantee,
            )
        )


def _let_connect(connection: Connection, report: Report) -> None:
    """To this database, its owner and the services alone."""
    database = sql.Identifier(connection.info.dbname)
    connecting = {name for (name,) in connection.execute(_CONNECTING).fetchall()}
    if _EVERYBODY in connecting:
        connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
        report.did("catalog: closed to everybody else")
    for role in sorted(set(ROLES) - connecting):
        grantee = sql.Identifier(role)
        connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(database, grantee))


def say_password(connection: Connection, statement: sql.SQL, role: str, password: str) -> None:
    """As a SCRAM verifier: the server's log shows statements that fail."""
    verifier = connection.pgconn.encrypt_password(
        password.encode(), role.encode(), b"scram-sha-256"
    )
    connection.execute(statement.format(sql.Identifier(role), sql.Literal(verifier.decode())))
