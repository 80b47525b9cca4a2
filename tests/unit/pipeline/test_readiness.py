from __future__ import annotations

import socket
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from pipeline.errors import CatalogError, StorageError, TransientError, UserError
from pipeline.readiness import LONGEST_PAUSE_S, wait_for, wait_for_servers
from pipeline.settings import PipelineSettings


class Server:
    """Fails with each of these, and then answers."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.asked = 0

    def check(self) -> None:
        self.asked += 1
        if self.failures:
            raise self.failures.pop(0)


def nothing() -> None:
    pass


def test_server_that_answers_is_not_waited_for() -> None:
    with capture_logs() as lines:
        wait_for("store", Server().check, nothing, sleep=lambda _: pytest.fail("slept"))
    assert lines == []


def test_it_waits_ever_longer_up_to_a_limit_and_shows_itself_with_every_try() -> None:
    server = Server(*(StorageError("away") for _ in range(8)))
    pauses: list[float] = []
    shown: list[int] = []
    wait_for("store", server.check, lambda: shown.append(server.asked), sleep=pauses.append)
    assert pauses == [0.5, 1, 2, 4, 5, 5, 5, 5]
    assert max(pauses) == LONGEST_PAUSE_S
    assert shown == list(range(9))


def test_each_reason_is_said_once_and_the_end_of_waiting_too() -> None:
    refused = CatalogError("no answer")
    refused.__cause__ = ConnectionError("refused\nand where to read about it")
    failures: list[TransientError] = [refused, refused, CatalogError("not migrated yet")]
    with capture_logs() as lines:
        wait_for("catalog", Server(*failures).check, nothing, sleep=lambda _: None)
    assert [(line["event"], line.get("reason")) for line in lines] == [
        ("waiting for a server", "no answer: refused"),
        ("waiting for a server", "not migrated yet"),
        ("the server answers", None),
    ]


def test_what_waiting_cannot_mend_is_raised() -> None:
    with pytest.raises(UserError):
        wait_for("catalog", Server(UserError("made by a newer Traboule")).check, nothing)


def test_embedded_servers_answer_at_once(tmp_path: Path) -> None:
    settings = PipelineSettings.of_folder(tmp_path)
    tries: list[int] = []
    assert wait_for_servers(lambda: settings, lambda: tries.append(1)) == settings
    assert len(tries) == 3


def test_settings_are_loaded_anew_with_every_try(tmp_path: Path) -> None:
    """A password may have been rotated since; here it is an address that was wrong."""
    right = PipelineSettings.of_folder(tmp_path)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        wrong_url = f"redis://127.0.0.1:{nobody.getsockname()[1]}/0"
        wrong = right.model_copy(update={"broker_url": wrong_url})
        loaded = iter([right, right, wrong])
        with capture_logs() as lines:
            waited = wait_for_servers(lambda: next(loaded, right), nothing)
    assert waited == right
    assert [line["server"] for line in lines] == ["broker", "broker"]
