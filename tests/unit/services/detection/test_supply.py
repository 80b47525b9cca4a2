"""Models come without a command, whenever their host can be reached at last."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from pipeline.cadence import utc_now
from pipeline.errors import CatalogError
from pipeline.settings import PipelineSettings
from services.detection.models import MODELS, ModelFile
from services.detection.settings import DetectionSettings
from services.detection.supply import Patience, supply_models
from services.detection.tasks import prepare
from tests.quiet_server import QuietServer
from tests.stages import draw, open_stages
from tests.waiting import wait_until

BODIES = {"face": b"face" * 20_000, "thing": b"thing" * 20_000}
QUICK = Patience(at_start_s=120, first_pause_s=0.02, longest_pause_s=0.1, pull_s=60)


@dataclass
class Host:
    """Serves models, those in `down` excepted. `before_giving`: as one is given, by name."""

    address: str = ""
    down: set[str] = field(default_factory=set)
    before_giving: Callable[[str], object] = lambda name: None
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def host() -> Iterator[Host]:
    host = Host()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.strip("/")
            host.asked.append(name)
            if name in host.down:
                self.send_error(503)
                return
            host.before_giving(name)
            self.send_response(200)
            self.send_header("Content-Length", str(len(BODIES[name])))
            self.end_headers()
            self.wfile.write(BODIES[name])

        def log_message(self, format: str, *args: object) -> None:
            pass

    with QuietServer(Handler) as server:
        host.address = server.url
        yield host


@pytest.fixture(autouse=True)
def models(host: Host) -> Iterator[None]:
    """Two small ones stand for the real, which come back in their order."""
    real = dict(MODELS)
    MODELS.clear()
    for name, body in BODIES.items():
        MODELS[name] = ModelFile(
            name=name,
            filename=f"{name}.onnx",
            pattern=f"{name}*.onnx",
            urls=(f"{host.address}/{name}",),
            bytes=len(body),
            sha256=hashlib.sha256(body).hexdigest(),
            licence="MIT",
            source="",
        )
    yield
    MODELS.clear()
    MODELS.update(real)


@pytest.fixture
def settings(tmp_path: Path) -> DetectionSettings:
    return DetectionSettings(TRABOULE_MODELS_DIR=None, models_cache=tmp_path / "cache")


class Arrivals:
    def __init__(self, fails: int = 0) -> None:
        self.count, self._fails = 0, fails

    def __call__(self) -> None:
        self.count += 1
        if self.count <= self._fails:
            raise CatalogError("away")


def has_all(settings: DetectionSettings) -> bool:
    """And nothing else, such as half a download."""
    found = {path.name: path.read_bytes() for path in settings.models_cache.iterdir()}
    return found == {f"{name}.onnx": body for name, body in BODIES.items()}


def test_missing_models_are_there_when_the_work_begins(settings: DetectionSettings) -> None:
    arrivals = Arrivals()
    assert supply_models(settings, arrivals, QUICK) is None
    assert has_all(settings)
    assert arrivals.count == 1


def test_models_that_are_there_are_not_asked_for(
    settings: DetectionSettings, host: Host, tmp_path: Path
) -> None:
    (tmp_path / "face-own-export.onnx").write_bytes(b"a person's own export")
    own = settings.model_copy(update={"models_dir": tmp_path})
    settings.models_cache.mkdir()
    (settings.models_cache / "thing.onnx").write_bytes(BODIES["thing"])
    arrivals = Arrivals()
    assert supply_models(own, arrivals, QUICK) is None
    assert (host.asked, arrivals.count) == ([], 0)


def test_corrupt_model_is_replaced(settings: DetectionSettings) -> None:
    settings.models_cache.mkdir()
    (settings.models_cache / "face.onnx").write_bytes(b"half of it")
    assert supply_models(settings, Arrivals(), QUICK) is None
    assert has_all(settings)


def test_one_model_out_of_reach_does_not_keep_the_other_away(
    settings: DetectionSettings, host: Host
) -> None:
    host.down = {"face"}
    arrivals = Arrivals()
    thread = supply_models(settings, arrivals, QUICK)
    assert thread is not None
    assert (settings.models_cache / "thing.onnx").read_bytes() == BODIES["thing"]
    assert arrivals.count == 1
    wait_until(lambda: host.asked.count("face") >= 3)
    host.down = set()
    thread.join(60)
    assert not thread.is_alive()
    assert has_all(settings)
    assert arrivals.count == 2


def test_work_begins_in_time_without_models(settings: DetectionSettings, host: Host) -> None:
    has_begun = threading.Event()
    host.before_giving = lambda name: has_begun.wait(60)
    thread = supply_models(settings, Arrivals(), replace(QUICK, at_start_s=0.3))
    has_begun.set()
    assert thread is not None and thread.daemon
    thread.join(60)
    assert has_all(settings)


def test_arrival_is_told_until_it_was_heard(settings: DetectionSettings, host: Host) -> None:
    arrivals = Arrivals(fails=3)
    thread = supply_models(settings, arrivals, QUICK)
    assert has_all(settings)
    assert thread is not None, "nobody has heard of it"
    thread.join(60)
    assert not thread.is_alive()
    assert arrivals.count == 4
    assert sorted(host.asked) == ["face", "thing"]


def test_arrival_that_was_not_heard_is_told_with_the_next(
    settings: DetectionSettings, host: Host
) -> None:
    arrivals = Arrivals(fails=1)
    host.down = {"face"}
    thread = supply_models(settings, arrivals, QUICK)
    assert thread is not None
    wait_until(lambda: arrivals.count >= 2 and len(host.asked) >= 6)
    assert arrivals.count == 2, "what was heard is not told again"
    host.down = set()
    thread.join(60)
    assert not thread.is_alive() and has_all(settings)
    assert arrivals.count == 3


def test_cache_that_cannot_be_written_does_not_stop_the_work(
    settings: DetectionSettings, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"")
    unwritable = settings.model_copy(update={"models_cache": tmp_path / "file" / "cache"})
    thread = supply_models(unwritable, Arrivals(), QUICK)
    assert thread is not None and thread.is_alive()
    (tmp_path / "file").unlink()
    thread.join(60)
    assert not thread.is_alive() and has_all(unwritable)


def test_several_share_a_cache(settings: DetectionSettings, host: Host) -> None:
    together = threading.Barrier(3, timeout=60)
    host.before_giving = lambda name: name == "face" and together.wait()
    with ThreadPoolExecutor(3) as pool:
        left = list(pool.map(lambda _: supply_models(settings, Arrivals(), QUICK), range(3)))
    assert left == [None, None, None]
    assert host.asked.count("face") == 3, "they were at it together"
    assert has_all(settings)


def test_images_that_await_a_model_are_announced_when_it_comes(
    settings: DetectionSettings, tmp_path: Path
) -> None:
    stages = open_stages(tmp_path)
    stages.detecting = False
    image = stages.keep(draw(1))
    work, now = stages.catalog.work, stages.clock()
    assert work.claim(image, "token", now, now)
    work.await_model(image, "token", "no model", now + timedelta(days=1))
    shared = PipelineSettings.of_folder(tmp_path)
    prepare(shared, settings)
    assert not settings.models_cache.exists(), "not unless the settings say so"
    prepare(shared, settings.model_copy(update={"pull_models": True}))
    assert has_all(settings)
    due_at = stages.row(image).announce_at
    assert due_at is not None and due_at <= utc_now()
    stages.catalog.close()
