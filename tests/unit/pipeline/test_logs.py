from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import structlog

from pipeline.broker import Handlers, make_app
from pipeline.logs import get_logger, start_logs
from pipeline.messages import ImageStored, PollDue, SaveCamera
from pipeline.records import Camera


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    """A log file that every logger writes to until the test's end."""
    root, chatty = logging.getLogger(), logging.getLogger("celery")
    before = (root.handlers[:], root.level, chatty.level)
    configured = structlog.get_config()
    start_logs(tmp_path / "logs" / "traboule.log")
    # Else loggers of modules would keep these settings for good.
    structlog.configure(cache_logger_on_first_use=False)
    yield tmp_path / "logs" / "traboule.log"
    for handler in root.handlers:
        handler.close()
    root.handlers[:], level, chatty_level = before
    root.setLevel(level)
    chatty.setLevel(chatty_level)
    structlog.configure(**configured)


def read(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def test_line_says_what_when_who_and_how_grave(file: Path) -> None:
    get_logger("services.capture.poll").warning("polled", outcome="kept", reason="")
    [line] = read(file)
    at = datetime.fromisoformat(line.pop("timestamp"))
    assert abs((datetime.now(UTC) - at).total_seconds()) < 60
    assert line == {
        "event": "polled",
        "outcome": "kept",
        "reason": "",
        "level": "warning",
        "logger": "services.capture.poll",
    }


def test_line_of_another_librarys_logger_is_json_too(file: Path) -> None:
    logging.getLogger("celery.app.trace").error("task %s ended %d times\nbadly", "a", 3)
    [line] = read(file)
    assert line["event"] == "task a ended 3 times\nbadly"
    assert (line["level"], line["logger"]) == ("error", "celery.app.trace")


@pytest.mark.parametrize("logger", [get_logger("ours"), logging.getLogger("theirs")])
def test_exception_stays_within_its_line(file: Path, logger: Any) -> None:
    try:
        raise ValueError("a mistake\nof ours")
    except ValueError:
        logger.exception("task failed")
    [line] = read(file)
    assert line["level"] == "error"
    assert 'raise ValueError("a mistake' in line["exception"]


def test_value_that_json_has_not_is_written_all_the_same(file: Path) -> None:
    get_logger("a").info("café", path=Path("/tmp"), at=datetime(2026, 11, 21), raw=b"\xff")
    [line] = read(file)
    assert line["event"] == "café"
    assert "2026" in line["at"]


def test_chatter_is_left_out_and_warnings_are_not(file: Path) -> None:
    for name in ("urllib3", "celery", "kombu", "alembic", "PIL", "httpx", "httpcore"):
        logging.getLogger(name).info("chatter")
        logging.getLogger(name).warning(name)
    get_logger("ours").debug("chatter")
    assert [line["event"] for line in read(file)] == [
        "urllib3",
        "celery",
        "kombu",
        "alembic",
        "PIL",
        "httpx",
        "httpcore",
    ]


def test_lines_of_many_threads_are_whole(file: Path) -> None:
    def write() -> None:
        with structlog.contextvars.bound_contextvars(camera=threading.current_thread().name):
            for number in range(50):
                get_logger("many").info("x" * 500, number=number)

    threads = [threading.Thread(target=write, name=f"cam-{n}") for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = read(file)
    assert len(lines) == 200
    for n in range(4):
        mine = [line["number"] for line in lines if line["camera"] == f"cam-{n}"]
        assert mine == list(range(50))


@pytest.mark.parametrize(
    ("message", "about"),
    [
        (ImageStored(image="quai-20261121T091640Z-8be14bda"), "image"),
        (PollDue(camera="quai", token="t"), "camera"),
        (SaveCamera(camera=Camera(id="quai", url="http://h/1.jpg")), "camera"),
    ],
)
def test_lines_of_a_task_name_it_and_what_it_is_about(
    file: Path, message: ImageStored | PollDue | SaveCamera, about: str
) -> None:
    handlers: Handlers[None] = Handlers()

    @handlers.on(type(message))
    def run(context: None, received: object) -> None:
        get_logger("services.somewhere").info("at work")
        logging.getLogger("some.library").warning("beside it")

    app = make_app("service", "memory://localhost/", handlers, lambda publish: None)
    [task] = [task for name, task in app.tasks.items() if not name.startswith("celery.")]
    task.apply(kwargs={"message": message.model_dump(mode="json")}, task_id="the-task")
    get_logger("services.somewhere").info("after it")
    _, ours, theirs, _, after = read(file)  # it begins, and ends
    subject = getattr(message, about)
    for line in (ours, theirs):
        assert line[about] == (subject if isinstance(subject, str) else subject.id)
        assert (line["task_id"], line["task"]) == ("the-task", task.name)
    assert {about, "task", "task_id"}.isdisjoint(after)
