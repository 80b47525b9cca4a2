from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import urllib.request
from itertools import takewhile
from pathlib import Path

import pytest

from services.simulation.city import City
from services.simulation.server import serve
from tests.factories import MORNING, draw_jpeg
from tests.unit.traboule.conftest import Run
from traboule.commands.simulate import introduce


def test_city_is_a_service_beside_services(run_composed: Run) -> None:
    ran = run_composed("simulate")
    assert (ran.status, ran.out, ran.err.count("\n")) == (1, "", 1)
    assert "docker compose --profile simulation up" in ran.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_city_serves_its_cameras_until_it_is_stopped(tmp_path: Path, number: int) -> None:
    (tmp_path / "one.jpg").write_bytes(draw_jpeg(MORNING))
    command = [sys.executable, "-m", "traboule", "simulate", "--port", "0", "--cameras", "0"]
    process = subprocess.Popen(
        [*command, "--folder", str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        told = "".join(takewhile(lambda line: line != "Ctrl-C ends it.\n", process.stdout))
        url = re.match(r"(http://127\.0\.0\.1:\d+/camera/folder-1\.jpg)  Pictures of ", told)
        assert url is not None, told
        assert f"traboule cameras add my-pictures {url[1]} --every 5s\n" in told
        with urllib.request.urlopen(url[1], timeout=60) as answer:
            assert answer.read() == draw_jpeg(MORNING)
        process.send_signal(number)
        assert process.wait(timeout=60) == 0
    finally:
        process.kill()
        process.communicate()


def test_city_without_cameras_is_refused(run: Run, tmp_path: Path) -> None:
    assert "ask for some with --cameras" in run("simulate", "--cameras", "0").err
    for folder, complaint in (
        (tmp_path, f"no JPEG or PNG in {tmp_path}"),
        (tmp_path / "none", f"there is no folder {tmp_path}/none"),
    ):
        ran = run("simulate", "--folder", str(folder))
        assert (ran.status, ran.err) == (1, f"traboule: {complaint}; see --folder\n")


def test_city_on_a_port_that_is_taken_says_so(run: Run) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ran = run("simulate", "--port", str(taken.getsockname()[1]))
    assert ran.status == 1
    assert "choose another with --port" in ran.err


def test_faces_are_kept_of_drawn_people_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("1.jpg", "2.JPEG", "notes.txt"):
        (tmp_path / name).write_bytes(draw_jpeg(MORNING))
    with serve(City(1, refresh_s=0.5, folders=(tmp_path,))) as server:
        introduce(server, "0.5s")
    told = capsys.readouterr().out
    street, pictures = re.findall(r"^add one:  (.*)$", told, re.MULTILINE)
    assert street == (
        f"traboule cameras add my-street {server.camera_url('sim-1')} --every 2s "
        "--policy keep --detectors haar,moving-object"
    )
    assert pictures == (
        f"traboule cameras add my-pictures {server.camera_url('folder-1')} --every 2s"
    )
    assert "2 pictures, 1 other file left out" in told
