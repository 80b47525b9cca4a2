"""Faults at exact moments, in tests alone: compose.faults.yml mounts this into containers.

Python imports a module of this name at its start. A file in the folder of flags, named after a
fault, has it happen once; the process that takes it away says in `<fault>.done` what it met.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

FLAGS = os.environ.get("TRABOULE_TEST_FLAGS", "/flags")
HANGS_S = 3600


def is_told(fault: str, key: str) -> bool:
    """Whether the fault is to happen now; nobody is told twice."""
    try:
        os.unlink(f"{FLAGS}/{fault}")  # noqa: PTH108  pathlib would be loaded before the worker
    except OSError:
        return False
    with open(f"{FLAGS}/{fault}.done", "w") as done:  # noqa: PTH123
        done.write(key)
    return True


def die() -> None:
    os.killpg(0, signal.SIGKILL)


def break_store(module: ModuleType) -> None:
    """Detection dies after it put the image, or before it deletes the frame; or hangs reading."""
    from pipeline.storage import s3

    store: Any = s3.S3Store
    put, get, delete = store.put, store.get, store.delete

    def put_and_die(self: Any, key: str, stored: Any) -> None:
        put(self, key, stored)
        if key.startswith("images/") and is_told("die-after-image", key):
            die()

    def hang_and_get(self: Any, key: str) -> Any:
        if key.startswith("raw/frames/") and is_told("hang", key):
            time.sleep(HANGS_S)
        return get(self, key)

    def die_and_delete(self: Any, key: str) -> None:
        if key.startswith("raw/frames/") and is_told("die-before-delete", key):
            die()
        delete(self, key)

    store.put, store.get, store.delete = put_and_die, hang_and_get, die_and_delete


def linger_in_sweep(module: ModuleType) -> None:
    """Maintenance has listed what it is going to look at, and stays there."""
    expiry: Any = module
    list_images = expiry.images_below

    def list_and_linger(context: Any, prefix: str) -> list[str]:
        images: list[str] = list_images(context, prefix)
        if images and is_told("linger", f"{len(images)} images below {prefix}"):
            time.sleep(HANGS_S)
        return images

    expiry.images_below = list_and_linger


def log_requests(module: ModuleType) -> None:
    """The simulated city's log of requests: a line for each picture that was asked for."""
    server: Any = module.CityServer
    count = server.count

    def count_and_log(self: Any, camera_id: str, kind: Any) -> None:
        count(self, camera_id, kind)
        sys.stdout.write(f'{{"event": "request", "camera": "{camera_id}", "at": {time.time()}}}\n')
        sys.stdout.flush()

    server.count = count_and_log


PATCHES: dict[str, Callable[[ModuleType], None]] = {
    "services.detection.tasks": break_store,
    "services.maintenance.expiry": linger_in_sweep,
    "services.simulation.server": log_requests,
}


class Finder:
    """Finds the modules above where they are, and patches them once they are loaded."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path) if name in PATCHES else None
        if spec is None or spec.loader is None:
            return None
        load = spec.loader.exec_module

        def load_and_patch(module: ModuleType) -> None:
            load(module)
            PATCHES[name](module)

        with suppress(AttributeError):
            spec.loader.exec_module = load_and_patch  # type: ignore[method-assign]
        return spec


sys.meta_path.insert(0, Finder)
