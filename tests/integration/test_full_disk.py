"""A disk that is full, and one that fills: a small file system of the test's own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline import keys
from pipeline.catalog.drops import DropFilter
from pipeline.catalog.images import ImageFilter
from pipeline.records import ImageState, Outcome
from services.maintenance.audit import audit
from traboule.workspace import open_workspace

pytestmark = pytest.mark.integration

NO_ROOM = ("No space left on device", "database or disk is full", "disk I/O error")
ENDS_WITHIN_S = 60
LEFT_BYTES = 300_000


@dataclass(frozen=True)
class Disk:
    """A tmpfs of the test's own."""

    root: Path

    @property
    def data(self) -> Path:
        return self.root / "data"

    def resize(self, size: str) -> None:
        subprocess.run(["mount", "-o", f"remount,size={size}", self.root], check=True)

    def leave(self, free_bytes: int) -> None:
        """Fill it but for so much."""
        disk = os.statvfs(self.root)
        (self.root / "ballast").write_bytes(bytes(disk.f_bavail * disk.f_frsize - free_bytes))

    def clear(self) -> None:
        (self.root / "ballast").unlink()

    def read_log(self) -> str:
        """Not line by line: a full disk cuts lines off."""
        return (self.data / "logs" / "traboule.log").read_text(errors="replace")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    root = tmp_path / "disk"
    root.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", "size=40m", "traboule-test", str(root)]
    if os.geteuid() != 0 or not sys.platform.startswith("linux"):
        pytest.skip("only root on Linux may mount a small file system")
    if (mounted := subprocess.run(mounting, capture_output=True, text=True)).returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    try:
        yield Disk(root)
    finally:
        subprocess.run(["umount", root], check=True)


@dataclass(frozen=True)
class Ended:
    status: int
    out: str
    err: str


def start(disk: Disk, for_s: int, cameras: int, **settings: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "traboule", "run", "--no-browser", "--data", str(disk.data)]
    nowhere = {
        "TRABOULE_MODELS_DIR": str(disk.root.parent / "no-models"),
        "DETECTION_MODELS_CACHE": str(disk.root.parent / "no-cache"),
        "HTTPS_PROXY": "http://127.0.0.1:9",
    }
    return subprocess.Popen(
        [*command, "--simulate", str(cameras), "--for", f"{for_s}s"],
        env=os.environ | nowhere | settings,
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process: subprocess.Popen[str]) -> Ended:
    try:
        out, err = process.communicate(timeout=ENDS_WITHIN_S)
    finally:
        process.kill()
    return Ended(process.returncode, out, err)


def run(disk: Disk, for_s: int, cameras: int, **settings: str) -> Ended:
    return end(start(disk, for_s, cameras, **settings))


def test_disk_below_the_watermark_is_told_and_nothing_is_captured(disk: Disk) -> None:
    ended = run(disk, 3, cameras=1)
    assert (ended.status, ended.err) == (0, "")
    assert " disk-low" in ended.out
    assert "disk is full" in ended.out
    with closing(open_workspace(disk.data)) as workspace:
        assert set(workspace.catalog.counters.totals()["sim-1"]) == {Outcome.DISK_LOW}
        [row] = workspace.catalog.cameras.all()
        assert row.reason.endswith("less than 500 MB: make room")
        assert row.failures == 0, "it is no fault of the camera's"
        assert [entry.key for entry in workspace.store.list("")] == [keys.source("sim-1")]


def test_disk_that_fills_ends_well_and_the_next_run_goes_on(disk: Disk) -> None:
    process = start(disk, ENDS_WITHIN_S, cameras=3, CAPTURE_MIN_FREE_BYTES="0")
    wait_until(lambda: bool(marked(disk)))
    disk.leave(LEFT_BYTES)  # room for another frame or two
    time.sleep(5)
    for _ in range(2):  # asked again, it does not wait for what is under way
        process.send_signal(signal.SIGINT)
        time.sleep(1)
    ended = end(process)
    assert "Traceback" not in ended.out + ended.err
    assert ended.status in {0, 1}
    assert ended.err.count("\n") == ended.status, "one line where it failed, else none"
    if ended.status:
        assert ended.err.startswith("traboule: ")
        assert any(words in ended.err for words in NO_ROOM)
    kept = marked(disk)
    assert free_bytes(disk) < LEFT_BYTES

    disk.resize("80m")
    assert shows_no_room(disk, ended), "nothing failed for want of room"
    again = run(disk, 5, cameras=3, CAPTURE_MIN_FREE_BYTES="0")
    assert (again.status, again.err) == (0, "")
    with closing(open_workspace(disk.data)) as workspace:
        audited = audit(workspace.catalog, workspace.store)
        assert audited.is_sound, audited.found
        rows = workspace.catalog.images.search(ImageFilter(limit=None))
        assert {row.state for row in rows} <= {ImageState.DETECTED, ImageState.DROPPED}
        detected = {row.id for row in rows if row.state == ImageState.DETECTED}
        assert kept <= detected, "what had its mark is not lost"
        assert len(detected) > len(kept)
        pairs = [(row.source, row.sha256_received) for row in rows]
        assert len(set(pairs)) == len(pairs)


@pytest.mark.parametrize("left_bytes", [0, 40 * 1024])
def test_run_that_has_no_room_to_begin_says_so_in_one_line(disk: Disk, left_bytes: int) -> None:
    disk.leave(left_bytes)
    ended = run(disk, 1, cameras=1, CAPTURE_MIN_FREE_BYTES="0")
    assert ended.status == 1
    assert ended.err.startswith("traboule: ")
    assert ended.err.count("\n") == 1
    assert any(words in ended.err for words in NO_ROOM)
    disk.clear()
    with closing(open_workspace(disk.data)) as workspace:
        assert audit(workspace.catalog, workspace.store).is_sound


def shows_no_room(disk: Disk, ended: Ended) -> bool:
    """Whether a write failed for want of room: by the log, the list of drops, or the last words.

    None of them alone will do: a full disk has no room for the others.
    """
    with closing(open_workspace(disk.data)) as workspace:
        not_stored = DropFilter(outcome=Outcome.NOT_STORED)
        told = [drop.reason for drop in workspace.catalog.drops.search(not_stored)]
    told += [disk.read_log(), ended.err]
    return any(words in one for words in NO_ROOM for one in told)


def free_bytes(disk: Disk) -> int:
    status = os.statvfs(disk.root)
    return status.f_bavail * status.f_frsize


def wait_until(condition: Callable[[], bool]) -> None:
    ends_at = time.monotonic() + ENDS_WITHIN_S / 2
    while not condition():
        assert time.monotonic() < ends_at, "did not happen in time"
        time.sleep(0.1)


def marked(disk: Disk) -> set[str]:
    """The images that were kept, by the store's own listing: those with a commit mark."""
    store = disk.data / "store"
    marks = [*(store / keys.FRAMES).rglob("*.json"), *(store / keys.DETECTIONS).rglob("*.json")]
    return {path.stem for path in marks}
