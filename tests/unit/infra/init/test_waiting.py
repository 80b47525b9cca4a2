from __future__ import annotations

import io
from collections.abc import Callable

import pytest

from infra.init import waiting
from infra.init.report import Report
from infra.init.waiting import Patience, Server
from pipeline.errors import CatalogError, UserError

ADVICE = "put it back"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "EVERY_S", 0.01)


def server(connect: Callable[[str], str | None]) -> Server[str]:
    return Server("catalog", "catalog:5432", connect, ADVICE)


def test_the_first_password_that_is_known_is_taken() -> None:
    known = {"b": "session b", "c": "session c"}
    login = Patience(1, Report(io.StringIO())).log_in(server(known.get), lambda: ["a", "b", "c"])
    assert (login.session, login.password) == ("session b", "b")


def test_server_that_starts_late_is_waited_for() -> None:
    tries: list[str] = []

    def connect(password: str) -> str | None:
        tries.append(password)
        if len(tries) < 4:
            raise CatalogError("Connection refused")
        return "session"

    told = io.StringIO()
    report = Report(told)
    assert Patience(30, report).log_in(server(connect), lambda: ["a"]).session == "session"
    assert told.getvalue() == "waiting for the catalog at catalog:5432\n"
    assert report.changes == 0


def test_server_that_never_answers_is_waited_for_so_long() -> None:
    def connect(password: str) -> str | None:
        raise CatalogError("Connection refused")

    patience = Patience(0.05, Report(io.StringIO()))
    with pytest.raises(UserError, match=r"catalog:5432 did not answer .*: Connection refused"):
        patience.log_in(server(connect), lambda: ["a"])


def test_server_that_refuses_is_not_waited_for() -> None:
    patience = Patience(3600, Report(io.StringIO()))
    with pytest.raises(UserError, match=f"refuses the password of init; {ADVICE}") as refused:
        patience.log_in(server(lambda password: None), lambda: ["secret"])
    assert "secret" not in str(refused.value).replace("put it", "")


def test_who_waits_says_so_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "SAID_EVERY_S", 0.02)
    told = io.StringIO()

    def connect(password: str) -> str | None:
        if told.getvalue().count("\n") < 3:
            raise CatalogError("Connection refused")
        return "session"

    Patience(30, Report(told)).log_in(server(connect), lambda: ["a"])
    assert told.getvalue().splitlines() == ["waiting for the catalog at catalog:5432"] * 3
