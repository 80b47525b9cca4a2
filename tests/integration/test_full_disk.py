"""A disk that is full, and one that fills: a small file system of the test's own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline import keys
from pipeline.catalog.drops import DropFilter
from pipeline.catalog.images import ImageFilter
from pipeline.records import ImageState, Outcome
from services.maintenance.audit import audit
from tests.waiting import wait_until
from traboule.workspace import open_workspace

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

NO_ROOM = ("No space left on device", "database or disk is full", "disk I/O error")
ENDS_WITHIN_S = 180
LEFT_BYTES = 300_000
PAGE_BYTES = 4096  # with less room than that, there is none


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
        log = self.data / "logs" / "traboule.log"
        return log.read_text(errors="replace") if log.exists() else ""


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
        subprocess.run(["umount", "--lazy", root], check=True)


@dataclass(frozen=True)
class Ended:
    status: int
    out: str
    err: str


@contextmanager
def running(disk: Disk, cameras: int, **settings: str) -> Iterator[subprocess.Popen[str]]:
    """Killed at the end, where it still runs then."""
    command = [sys.executable, "-m", "traboule", "run", "--no-browser", "--data", str(disk.data)]
    nowhere = {
        "TRABOULE_MODELS_DIR": str(disk.root.parent / "no-models"),
        "DETECTION_MODELS_CACHE": str(disk.root.parent / "no-cache"),
        "HTTPS_PROXY": "http://127.0.0.1:9",
    }
    with subprocess.Popen(
        [*command, "--simulate", str(cameras)],
        env=os.environ | nowhere | settings,
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def end(process: subprocess.Popen[str]) -> Ended:
    process.send_signal(signal.SIGINT)
    return wait_for_end(process)


def wait_for_end(process: subprocess.Popen[str]) -> Ended:
    out, err = process.communicate(timeout=ENDS_WITHIN_S)
    return Ended(process.returncode, out, err)


def test_disk_below_the_watermark_is_told_and_nothing_is_captured(disk: Disk) -> None:
    with running(disk, cameras=1) as process:
        wait_until(lambda: Outcome.DISK_LOW in disk.read_log())
        ended = end(process)
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
    with running(disk, cameras=3, CAPTURE_MIN_FREE_BYTES="0") as process:
        wait_until(lambda: bool(marked(disk)))
        process.send_signal(signal.SIGSTOP)
        disk.leave(LEFT_BYTES)  # room for another frame or two
        process.send_signal(signal.SIGCONT)
        wait_until(lambda: says_no_room(disk.read_log()) or free_bytes(disk) < PAGE_BYTES)
        ended = end(process)
    assert "Traceback" not in ended.out + ended.err
    assert ended.status in {0, 1}
    assert ended.err.count("\n") == ended.status, "one line where it failed, else none"
    if ended.status:
        assert ended.err.startswith("traboule: ")
        assert says_no_room(ended.err)
    kept = marked(disk)

    disk.resize("80m")
    assert shows_no_room(disk, ended), "nothing failed for want of room"
    with running(disk, cameras=3, CAPTURE_MIN_FREE_BYTES="0") as process:
        wait_until(lambda: bool(marked(disk, keys.DETECTIONS) - kept))
        again = end(process)
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
    with running(disk, cameras=1, CAPTURE_MIN_FREE_BYTES="0") as process:
        ended = wait_for_end(process)
    assert ended.status == 1
    assert ended.err.startswith("traboule: ")
    assert ended.err.count("\n") == 1
    assert says_no_room(ended.err)
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
    return says_no_room("\n".join([*told, disk.read_log(), ended.err]))


def says_no_room(told: str) -> bool:
    return any(words in told for words in NO_ROOM)


def free_bytes(disk: Disk) -> int:
    status = os.statvfs(disk.root)
    return status.f_bavail * status.f_frsize


def marked(disk: Disk, *prefixes: str) -> set[str]:
    """The images that were kept, by the store's own listing: those with a commit mark."""
    folders = [disk.data / "store" / one for one in prefixes or (keys.FRAMES, keys.DETECTIONS)]
    return {path.stem for folder in folders for path in folder.rglob("*.json")}
