"""PostgreSQL's connections: every wait has an end, whatever became of the server.

Needs psycopg, which only composed services have.
"""

from __future__ import annotations

import time
from typing import Any

import psycopg
from psycopg.abc import RV, PQGen
from psycopg.types.string import StrDumperUnknown
from sqlalchemy import URL, Engine, create_engine, event

POOL_SIZE = 20  # capture polls in 16 threads
CONNECT_WITHIN_S = 5
ANSWER_WITHIN_S = 8.0  # with a new connection tried after it, half of a task's 30 s
_SETTINGS = {
    "statement_timeout": "7s",  # the server's own limits end before ours
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "10s",  # a paused process holds no lock for long
    "TimeZone": "UTC",
    "tcp_keepalives_idle": "30",  # the server's, for a client whose machine is gone
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}
_PATIENT_SETTINGS = {
    **_SETTINGS,
    "statement_timeout": "0",
    "lock_timeout": "30s",
    "idle_in_transaction_session_timeout": "0",
}


class BoundedConnection(psycopg.Connection[Any]):
    """Closes itself when the server does not answer in time.

    The server's limits and TCP's don't see a server that hangs: its kernel goes on acknowledging.
    """

    answer_within_s = ANSWER_WITHIN_S

    def wait(self, gen: PQGen[RV], *arguments: Any, **options: Any) -> RV:
        return super().wait(self._bounded(gen), *arguments, **options)

    def _bounded(self, gen: PQGen[RV]) -> PQGen[RV]:
        """`gen`, which is told ten times a second that nothing has come yet."""
        ends_at = time.monotonic() + self.answer_within_s
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if not ready and time.monotonic() > ends_at:
                    self.close()
                    raise psycopg.OperationalError(f"no answer within {self.answer_within_s:g} s")
                wanted = gen.send(ready)
        except StopIteration as end:
            result: RV = end.value
            return result


class PatientConnection(BoundedConnection):
    answer_within_s = 3600.0


class StorableDumper(StrDumperUnknown):
    """PostgreSQL's text holds no NUL; what a server says of itself may."""

    def dump(self, obj: str) -> Any:
        return super().dump(obj.replace("\0", "\N{REPLACEMENT CHARACTER}"))


def make_postgres_engine(url: URL, *, patient: bool) -> Engine:
    """`patient` is for what takes long by its nature, and is no task: a migration, a rebuild."""
    settings = _PATIENT_SETTINGS if patient else _SETTINGS
    engine = create_engine(
        url,
        pool_size=POOL_SIZE,
        max_overflow=0,
        pool_timeout=10,
        pool_pre_ping=True,
        pool_use_lifo=True,
        connect_args={
            "connect_timeout": CONNECT_WITHIN_S,
            "application_name": "traboule",
            "client_encoding": "utf8",
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 3,
            "tcp_user_timeout": 15_000,
            "options": " ".join(f"-c {name}={value}" for name, value in settings.items()),
        },
    )
    kind = PatientConnection if patient else BoundedConnection

    def connect(_: Any, __: Any, arguments: list[Any], options: dict[str, Any]) -> Any:
        connection = kind.connect(*arguments, **options)
        connection.adapters.register_dumper(str, StorableDumper)
        return connection

    event.listen(engine, "do_connect", connect)
    return engine
