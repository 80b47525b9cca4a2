from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.factories import MORNING, draw_jpeg
from tests.unit.traboule.conftest import Run


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_city_serves_its_cameras_until_it_is_stopped(tmp_path: Path, number: int) -> None:
    (tmp_path / "one.jpg").write_bytes(draw_jpeg(MORNING))
    command = [sys.executable, "-m", "traboule", "simulate", "--port", "0", "--cameras", "0"]
    process = subprocess.Popen(
        [*command, "--folder", str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        told = "".join(iter(process.stdout.readline, "Ctrl-C ends it.\n"))
        url = re.match(r"(http://127\.0\.0\.1:\d+/camera/folder-1\.jpg)  Pictures of ", told)
        assert url is not None, told
        assert f"traboule cameras add my-street {url[1]}" in told
        with urllib.request.urlopen(url[1], timeout=10) as answer:
            assert answer.read() == draw_jpeg(MORNING)
        process.send_signal(number)
        assert process.wait(timeout=10) == 0
    finally:
        process.kill()
        process.communicate()


def test_city_without_cameras_is_refused(run: Run, tmp_path: Path) -> None:
    assert "ask for some with --cameras" in run("simulate", "--cameras", "0").err
    ran = run("simulate", "--folder", str(tmp_path))
    assert (ran.status, ran.err) == (1, f"traboule: no JPEG in {tmp_path}\n")


def test_city_on_a_port_that_is_taken_says_so(run: Run) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ran = run("simulate", "--port", str(taken.getsockname()[1]))
    assert ran.status == 1
    assert "choose another with --port" in ran.err
