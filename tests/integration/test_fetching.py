"""The service that fetches a project's export again and again, as a process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.studio_stand_in import LEGACY_TOKEN, StandIn, draw, stand_in_studio
from tests.unit.services.labeling.fetching.test_label_files import make_zip
from tests.waiting import wait_until

pytestmark = pytest.mark.integration

IMAGES = 40
NOTES = b'{"categories": [{"id": 0, "name": "car"}]}'


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[StandIn]:
    labels = {"notes.json": NOTES}
    with stand_in_studio() as made:
        for number in range(IMAGES):
            made.add_task(number, f"/data/upload/2/{number:08x}-x.jpg")
            made.private[f"/data/upload/2/{number:08x}-x.jpg"] = draw(size=(64 + number, 48))
            labels[f"labels/{number:08x}-x.txt"] = b"0 0.5 0.5 0.2 0.2\n"
        made.private["/api/projects/2/export"] = make_zip(tmp_path / "e.zip", labels).read_bytes()
        yield made


@contextmanager
def fetching(tmp_path: Path, **settings: str) -> Iterator[subprocess.Popen[str]]:
    settings = {"PIPELINE_HEALTH_FILE": str(tmp_path / "healthy"), **settings}
    started = subprocess.Popen(
        [sys.executable, "-m", "services.labeling.fetching"],
        env={"PATH": os.environ["PATH"], **settings},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield started
    finally:
        started.kill()
        started.wait()
        assert started.stderr is not None
        started.stderr.close()


def settings_for(studio: StandIn, tmp_path: Path, **more: str) -> dict[str, str]:
    token_file = tmp_path / "token"
    token_file.write_text(LEGACY_TOKEN)
    wanted = {"URL": studio.url, "PROJECT": "2", "TOKEN_FILE": str(token_file)}
    wanted |= {"INTO": str(tmp_path / "out"), "IMAGES_PER_S": "1000", "EVERY_S": "0.2", **more}
    return {f"FETCH_{name}": value for name, value in wanted.items()}


def read_lines(process: subprocess.Popen[str], event: str, count: int) -> list[dict[str, Any]]:
    assert process.stderr is not None
    found: list[dict[str, Any]] = []
    while len(found) < count:
        line = process.stderr.readline()
        assert line, "it ended"
        found += [one for one in [json.loads(line)] if one["event"] == event]
    return found


def test_service_that_is_killed_goes_on_and_fetches_nothing_twice(
    studio: StandIn, tmp_path: Path
) -> None:
    images = tmp_path / "out" / "images"
    with fetching(tmp_path, **settings_for(studio, tmp_path, IMAGES_PER_S="20")) as process:
        while not images.exists() or len(list(images.iterdir())) < 5:
            assert process.poll() is None
            time.sleep(0.05)
    with fetching(tmp_path, **settings_for(studio, tmp_path)) as process:
        first, second = read_lines(process, "fetched", 2)
        assert first["new"] + first["there"] == second["there"] == IMAGES
        assert first["there"] >= 4
        assert (second["new"], second["missing"]) == (0, 0)
        wait_until((tmp_path / "healthy").exists)  # its watchdog looks once a second
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) in (0, 128 + signal.SIGTERM)
    downloads = [path for path in studio.paths() if path.startswith("/data/upload/")]
    assert len(downloads) <= IMAGES + 1, "but for the one in hand when it was killed"


def test_export_beyond_a_hundred_megabytes_arrives_in_little_memory(
    studio: StandIn, tmp_path: Path
) -> None:
    labels = {"notes.json": NOTES, "labels/00000000-x.txt": b"0 0.5 0.5 0.2 0.2\n"}
    archive = make_zip(tmp_path / "large.zip", labels)
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_STORED) as opened:
        opened.writestr("images/00000000-x.jpg", bytes(120_000_000))
    studio.private["/api/projects/2/export"] = archive.read_bytes()
    with fetching(tmp_path, **settings_for(studio, tmp_path, EVERY_S="600")) as process:
        [fetched] = read_lines(process, "fetched", 1)
        assert (fetched["new"], fetched["missing"]) == (1, 0)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        peaks = [peak_mb(int(child)) for child in children]
    assert peaks and max(peaks) < 200
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(
        ["data.yaml", "fetched.jsonl", "images", "labels", "report.json"]
    )


def peak_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    [line] = [line for line in lines if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


def test_label_studio_that_fails_is_tried_again(studio: StandIn, tmp_path: Path) -> None:
    export = studio.private.pop("/api/projects/2/export")
    with fetching(tmp_path, **settings_for(studio, tmp_path)) as process:
        read_lines(process, "not fetched", 2)
        studio.private["/api/projects/2/export"] = export
        [fetched] = read_lines(process, "fetched", 1)
    assert fetched["new"] == IMAGES


def test_settings_that_say_too_little_are_one_line(tmp_path: Path) -> None:
    with fetching(tmp_path, FETCH_URL="http://127.0.0.1:9") as process:
        _, said = process.communicate(timeout=60)
    assert process.returncode == os.EX_CONFIG
    [line] = said.splitlines()
    assert "Set FETCH_PROJECT, FETCH_TOKEN_FILE" in json.loads(line)["reason"]
