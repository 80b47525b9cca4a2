"""Lanes of faults, side by side: each a stack of its own, on which one fault follows another.

Most of a fault's time is spent waiting for timeouts that are real, and three stacks wait as
cheaply as one.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.census import Census
from tests.e2e.execution import ExecutionLog
from tests.e2e.faces import Faces, prepare_faces
from tests.e2e.fault import Fault, Row, Scene, suffer
from tests.e2e.flow import CAMERAS, Flow
from tests.e2e.stack import Stack

HERE = Path(__file__).parent
REFRESH_S = 2
DISK_MB = 600
LEAST_FREE_MB = 50
_starting = threading.Lock()  # one stack at a time: starting is work


@dataclass
class Lane:
    """A thread of its own. A fault that was not survived does not spoil the next: it gets a new
    stack."""

    name: str
    faults: Sequence[Fault]
    small_disk: bool = False
    stopped: threading.Event = field(default_factory=threading.Event)
    rows: dict[str, Future[Row]] = field(init=False)

    def __post_init__(self) -> None:
        self.rows = {fault.name: Future() for fault in self.faults}
        self._thread = threading.Thread(target=self._run, name=self.name)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self.stopped.set()
        self._thread.join()

    def _run(self) -> None:
        left = list(self.faults)
        while left and not self.stopped.is_set():
            try:
                with self._open_scene() as scene:
                    while left and not self.stopped.is_set():
                        self._settle(scene, left.pop(0))
            except Unsurvived:
                continue
            except BaseException as error:  # no stack could be made, or one not be removed
                if left:
                    self.rows[left.pop(0).name].set_exception(error)

    def _settle(self, scene: Scene, fault: Fault) -> None:
        try:
            row = suffer(scene, fault)
        except BaseException as error:
            self.rows[fault.name].set_exception(error)
            raise Unsurvived from error
        self.rows[fault.name].set_result(row)
        if row.lost or row.orphans:
            raise Unsurvived

    @contextmanager
    def _open_scene(self) -> Iterator[Scene]:
        with tempfile.TemporaryDirectory(prefix="traboule-test-") as folder:
            flags = Path(folder) / "flags"
            flags.mkdir()
            flags.chmod(0o777)  # the services are another user
            faces = prepare_faces(Path(folder) / "pictures")
            with _disk(Path(folder), self.small_disk) as disk:
                stack = Stack(_overrides(disk, faces), _environment(flags, disk, faces))
                try:
                    with _starting:
                        stack.up()
                        flow = Flow(stack, self.stopped, CAMERAS + bool(faces))
                        flow.prepare()
                    log = ExecutionLog(stack)
                    yield Scene(stack, flow, log, Census(stack, log, faces), flags, disk)
                finally:
                    stack.close()


class Unsurvived(Exception):
    """A fault after which something was not as it should be."""


def _overrides(disk: Path | None, faces: Faces | None) -> list[Path]:
    names = {"faults": True, "disk": disk, "faces": faces}
    return [HERE / f"compose.{name}.yml" for name, wanted in names.items() if wanted]


def _environment(flags: Path, disk: Path | None, faces: Faces | None) -> dict[str, str]:
    environment = {
        "SCHEDULER_FEEDS": '["simulation"]',
        "SIMULATION_CAMERAS": str(CAMERAS),
        "SIMULATION_REFRESH_S": str(REFRESH_S),
        "TRABOULE_TEST_FLAGS": str(flags),
    }
    if disk:
        environment["TRABOULE_TEST_DISK"] = str(disk)
        environment["TRABOULE_TEST_MIN_FREE_BYTES"] = str(LEAST_FREE_MB * 1_000_000)
    if faces:
        environment["TRABOULE_TEST_MODELS"] = str(faces.models)
        environment["TRABOULE_TEST_PICTURES"] = str(faces.pictures)
    return environment


@contextmanager
def _disk(folder: Path, wanted: bool) -> Iterator[Path | None]:
    """A file system of its own in a file; None where only root could mount it."""
    if not wanted or os.geteuid():
        yield None
        return
    image, mounted = folder / "disk", folder / "mounted"
    mounted.mkdir()
    with image.open("wb") as file:
        file.truncate(DISK_MB * 1_000_000)
    _call("mkfs.ext4", "-q", "-m", "0", str(image))
    _call("mount", "-o", "loop", str(image), str(mounted))
    try:
        data = mounted / "data"
        data.mkdir()
        data.chmod(0o777)  # the image says whose it is
        yield data
    finally:
        _call("umount", str(mounted))


def _call(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"{command[0]}: {done.stderr}"
